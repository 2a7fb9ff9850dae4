// The Grafana dashboard, on standard output. build.sh puts it in loopsan.json.
//
// The numbers of the panels are their addresses: the alerts in tools/prometheus
// link to them.
import * as common from "@grafana/grafana-foundation-sdk/common";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import * as heatmap from "@grafana/grafana-foundation-sdk/heatmap";
import * as prometheus from "@grafana/grafana-foundation-sdk/prometheus";
import * as stat from "@grafana/grafana-foundation-sdk/stat";
import * as table from "@grafana/grafana-foundation-sdk/table";
import * as timeseries from "@grafana/grafana-foundation-sdk/timeseries";

const datasource = { type: "prometheus", uid: "${datasource}" };

// What the variables select. Sites and what belongs to a process as a whole have no
// label "loop"; what belongs to a run has no label "process" either.
const ofRun = `job=~"$job"`;
const ofProcess = `${ofRun},process=~"$process"`;
const ofLoop = `${ofProcess},loop=~"$loop"`;

const sum = (by, inner) => (by ? `sum by (${by}) (${inner})` : `sum(${inner})`);
const rate = (counter, scope) => `rate(${counter}{${scope}}[$__rate_interval])`;
const quantile = (q, by, histogram, scope) =>
  `histogram_quantile(${q}, ${sum(`${by}, le`, rate(`${histogram}_bucket`, scope))})`;
const loopSeconds = (by) =>
  `(${sum(by, rate("loopsan_loop_busy_seconds_total", ofLoop))}` +
  ` + ${sum(by, rate("loopsan_idle_seconds_total", ofLoop))})`;
const ofTheTime = (counter) => `${sum("process, loop", rate(counter, ofLoop))} / ${loopSeconds("process, loop")}`;

// How much a counter has grown in the time that is shown. increase() alone would not
// count with what value a series begins, and a site begins with its first block.
const growth = (counter, scope) => {
  const series = `${counter}{${scope}}`;
  return (
    `((increase(${series}[$__range]) and ${series} offset $__range)` +
    ` or max_over_time(${series}[$__range]))`
  );
};

let lastRefId = "";
const query = (expr, legend) => {
  lastRefId = lastRefId ? String.fromCharCode(lastRefId.charCodeAt(0) + 1) : "A";
  return new prometheus.DataqueryBuilder()
    .refId(lastRefId)
    .expr(expr)
    .datasource(datasource)
    .legendFormat(legend ?? "__auto")
    .range();
};
const now = (expr, legend) => query(expr, legend).instant();
const everyBucket = (expr) => query(expr, "{{le}}").format(prometheus.PromQueryFormat.Heatmap);
const asTable = (expr) => now(expr).format(prometheus.PromQueryFormat.Table);

const panel = (builder, id, title, description, width, height, targets) => {
  lastRefId = "";
  builder.id(id).title(title).description(description).datasource(datasource).span(width).height(height);
  for (const target of targets()) builder.withTarget(target);
  return builder;
};

const graph = (id, title, description, width, unit, targets) =>
  panel(new timeseries.PanelBuilder(), id, title, description, width, 9, targets)
    .unit(unit)
    .min(0)
    .lineWidth(1)
    .fillOpacity(8)
    .showPoints(common.VisibilityMode.Never)
    .legend(
      new common.VizLegendOptionsBuilder()
        .showLegend(true)
        .displayMode(common.LegendDisplayMode.Table)
        .placement(common.LegendPlacement.Bottom)
        .calcs(["mean", "max"]),
    )
    .tooltip(
      new common.VizTooltipOptionsBuilder()
        .mode(common.TooltipDisplayMode.Multi)
        .sort(common.SortOrder.Descending),
    );
const stacked = (...arguments_) =>
  graph(...arguments_)
    .fillOpacity(60)
    .stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group("A"));

const number = (id, title, description, unit, steps, targets) =>
  panel(new stat.PanelBuilder(), id, title, description, 4, 4, targets)
    .unit(unit)
    .noValue("0")
    .colorMode(common.BigValueColorMode.Value)
    .graphMode(common.BigValueGraphMode.None)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(["lastNotNull"]))
    .thresholds(
      new dashboard.ThresholdsConfigBuilder().mode(dashboard.ThresholdsMode.Absolute).steps(steps),
    );
const plain = [{ value: null, color: "text" }];
const redAbove = (yellow, red) => [
  { value: null, color: "green" },
  { value: yellow, color: "yellow" },
  { value: red, color: "red" },
];
const noneIsGood = [
  { value: null, color: "green" },
  { value: 1, color: "orange" },
];

const sites = "process, rule, function, location";
const siteSeconds = sum(sites, growth("loopsan_site_blocked_seconds_total", ofProcess));
const siteBlocks = sum(sites, growth("loopsan_site_blocks_total", ofProcess));

const topSites = () =>
  panel(
    new table.PanelBuilder(),
    20,
    "Top sites",
    "The lines of code that took the most time from the loops in the time shown: fix the first one first. " +
      "Click a process to see it alone.",
    20,
    9,
    () => [asTable(`topk(20, ${siteSeconds})`), asTable(`${siteBlocks} and topk(20, ${siteSeconds})`)],
  )
    .withTransformation({ id: "merge", options: {} })
    .withTransformation({
      id: "organize",
      options: {
        excludeByName: { Time: true },
        indexByName: { "Value #A": 0, "Value #B": 1, function: 2, location: 3, rule: 4, process: 5 },
        renameByName: { "Value #A": "blocked", "Value #B": "times" },
      },
    })
    .withTransformation({ id: "sortBy", options: { sort: [{ field: "blocked", desc: true }] } })
    .overrideByName("blocked", [
      { id: "unit", value: "s" },
      { id: "custom.width", value: 110 },
    ])
    .overrideByName("times", [
      { id: "decimals", value: 0 },
      { id: "custom.width", value: 90 },
    ])
    .overrideByName("rule", [{ id: "custom.width", value: 120 }])
    .overrideByName("process", [
      { id: "custom.width", value: 160 },
      {
        id: "links",
        value: [
          {
            title: "Only ${__value.text}",
            url: "/d/loopsan/loopsan?${datasource:queryparam}&var-process=${__value.text:percentencode}&${__url_time_range}",
          },
        ],
      },
    ]);

const stepHeatmap = () =>
  panel(
    new heatmap.PanelBuilder(),
    12,
    "Steps by duration",
    "How many steps a second took how long. A second band far above the first is a kind of work that should not be on the loop.",
    12,
    9,
    () => [everyBucket(sum("le", rate("loopsan_step_seconds_bucket", ofLoop)))],
  )
    .calculate(false)
    .yAxis(new heatmap.YAxisConfigBuilder().unit("s"))
    .color(
      new heatmap.HeatmapColorOptionsBuilder()
        .mode(heatmap.HeatmapColorMode.Scheme)
        .scheme("Turbo")
        .steps(64)
        .exponent(0.5)
        .scale(heatmap.HeatmapColorScale.Exponential)
        .fill("dark-orange"),
    )
    .cellGap(1)
    .cellValues(new heatmap.CellValuesBuilder().unit("cps"))
    .filterValues(new heatmap.FilterValueRangeBuilder().le(1e-9))
    .rowsFrame(new heatmap.RowsHeatmapOptionsBuilder().layout(common.HeatmapCellLayout.Auto))
    .showValue(common.VisibilityMode.Never)
    .tooltip(new heatmap.HeatmapTooltipBuilder().mode(common.TooltipDisplayMode.Single).yHistogram(true))
    .showLegend();

const selection = (name, label, description, query) =>
  new dashboard.QueryVariableBuilder(name)
    .label(label)
    .description(description)
    .datasource(datasource)
    .query(query)
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(dashboard.VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue(".*")
    .current({ selected: true, text: ["All"], value: ["$__all"] });

const result = new dashboard.DashboardBuilder("loopsan")
  .uid("loopsan")
  .description("What blocks the event loops of the programs under `loopsan run --metrics`, and where.")
  .tags(["loopsan", "event loop"])
  .editable()
  .tooltip(dashboard.DashboardCursorSync.Crosshair)
  .time({ from: "now-1h", to: "now" })
  .timezone("browser")
  .refresh("30s")
  .withVariable(
    new dashboard.DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"),
  )
  .withVariable(selection("job", "Job", "Of the scrape configuration.", "label_values(loopsan_build_info, job)"))
  .withVariable(
    selection("process", "Process", "Names of programs.", `label_values(loopsan_loops{${ofRun}}, process)`),
  )
  .withVariable(
    selection("loop", "Loop", "Names of loops, or of their threads.", `label_values(loopsan_turns_total{${ofProcess}}, loop)`),
  )
  .annotation(
    new dashboard.AnnotationQueryBuilder()
      .name("Alerts")
      .datasource(datasource)
      .enable(true)
      .iconColor("red")
      .expr(`ALERTS{alertname=~"Loopsan.*",alertstate="firing",process=~"$process|",loop=~"$loop|"}`)
      .titleFormat("{{alertname}}")
      .textFormat("{{process}} {{loop}} {{instance}}")
      .tagKeys("severity,cause,kind")
      .step("30s"),
  )
  .link(
    new dashboard.DashboardLinkBuilder("Firing alerts")
      .type(dashboard.DashboardLinkType.Link)
      .url("/alerting/list?search=Loopsan&${datasource:queryparam}")
      .icon("bell"),
  )

  .withRow(new dashboard.RowBuilder("Health").id(100))
  .withPanel(
    number(1, "Runs", "Runs of loopsan that Prometheus can scrape.", "short", plain, () => [
      now(`count(loopsan_build_info{${ofRun}})`),
    ]),
  )
  .withPanel(
    number(2, "Loops", "Event loops that are alive now, and processes that have been started.", "short", plain, () => [
      now(sum("", `loopsan_loops{${ofProcess}}`), "loops"),
      now(sum("", `loopsan_processes_started_total{${ofRun}}`), "processes"),
    ]),
  )
  .withPanel(
    number(3, "Busiest loop", "Utilisation of the loop that has the least time left.", "percentunit", redAbove(0.7, 0.9), () => [
      now(`max(${ofTheTime("loopsan_loop_busy_seconds_total")})`),
    ]),
  )
  .withPanel(
    number(4, "Slowest p99 step", "Of the loop where one step in a hundred takes longest.", "s", redAbove(0.05, 0.1), () => [
      now(`max(${quantile(0.99, "process, loop", "loopsan_step_seconds", ofLoop)})`),
    ]),
  )
  .withPanel(
    number(5, "Stalls", "Steps over the threshold, in the time shown.", "short", noneIsGood, () => [
      now(`ceil(${sum("", growth("loopsan_stall_seconds_count", ofLoop))})`),
    ]),
  )
  .withPanel(
    number(6, "Never awaited", "Coroutines that were dropped without being awaited, in the time shown.", "short", noneIsGood, () => [
      now(`ceil(${sum("", growth("loopsan_never_awaited_total", ofProcess))})`),
    ]),
  )

  .withRow(new dashboard.RowBuilder("Loops").id(101))
  .withPanel(
    graph(
      10,
      "Loop lag",
      "Steps: how long the loop does one thing, while all others wait (max is the upper end of the highest bucket). Wake delay: from ready to run to running.",
      12,
      "s",
      () => [
        query(quantile(0.5, "process, loop", "loopsan_step_seconds", ofLoop), "step p50 {{process}} {{loop}}"),
        query(quantile(0.99, "process, loop", "loopsan_step_seconds", ofLoop), "step p99 {{process}} {{loop}}"),
        query(quantile(1, "process, loop", "loopsan_step_seconds", ofLoop), "step max {{process}} {{loop}}"),
        query(quantile(0.99, "process, loop", "loopsan_wake_delay_seconds", ofLoop), "wake delay p99 {{process}} {{loop}}"),
      ],
    )
      .min(undefined) // a logarithmic axis has no zero
      .scaleDistribution(new common.ScaleDistributionConfigBuilder().type(common.ScaleDistribution.Log).log(10)),
  )
  .withPanel(
    graph(
      11,
      "Utilisation and CPU",
      "Share of the time that the loop is busy, and that it computes. Together: it computes. Apart: it waits for something, see blocked time.",
      12,
      "percentunit",
      () => [
        query(ofTheTime("loopsan_loop_busy_seconds_total"), "busy {{process}} {{loop}}"),
        query(ofTheTime("loopsan_loop_cpu_seconds_total"), "CPU {{process}} {{loop}}"),
      ],
    ).axisSoftMax(1),
  )
  .withPanel(stepHeatmap())
  .withPanel(
    stacked(
      13,
      "Blocked time by category",
      "Seconds a second that loops spend in calls that block, by what the call waits for.",
      12,
      "percentunit",
      () => [query(sum("category", rate("loopsan_blocking_seconds_total", ofLoop)), "{{category}}")],
    ),
  )
  .withPanel(
    graph(14, "Blocking calls", "How many calls a second blocked a loop.", 12, "cps", () => [
      query(sum("category", rate("loopsan_blocking_calls_total", ofLoop)), "{{category}}"),
    ]),
  )
  .withPanel(
    graph(15, "Turns", "How often a second the loop asks what is ready.", 12, "cps", () => [
      query(sum("process, loop", rate("loopsan_turns_total", ofLoop)), "{{process}} {{loop}}"),
    ]),
  )

  .withRow(new dashboard.RowBuilder("Culprits").id(102))
  .withPanel(topSites())
  .withPanel(
    number(
      24,
      "At other sites",
      "Time taken by, and number of blocks at, the sites that have no series of their own, since the run began.",
      "s",
      plain,
      () => [
        now(sum("", `loopsan_other_sites_blocked_seconds{${ofRun}}`), "blocked"),
        now(sum("", `loopsan_other_sites_blocks{${ofRun}}`), "times"),
      ],
    )
      .height(9)
      .overrideByName("times", [{ id: "unit", value: "short" }]),
  )
  .withPanel(
    stacked(
      21,
      "Stalls by cause",
      "Seconds a second in steps over the threshold, by what made them long.",
      8,
      "percentunit",
      () => [query(sum("cause", rate("loopsan_stall_seconds_sum", ofLoop)), "{{cause}}")],
    ),
  )
  .withPanel(
    stacked(22, "Findings", "Occurrences a second, by rule and cause.", 8, "cps", () => [
      query(sum("rule, cause", rate("loopsan_findings_total", ofProcess)), "{{rule}} {{cause}}"),
    ]),
  )
  .withPanel(
    graph(
      23,
      "Delay inflicted",
      "Seconds a second that others had to wait for slow steps: ten tasks that wait 1 s are 10 s.",
      8,
      "s",
      () => [query(sum("process, loop", rate("loopsan_delay_inflicted_seconds_total", ofLoop)), "{{process}} {{loop}}")],
    ),
  )

  .withRow(new dashboard.RowBuilder("Tasks and threads").id(103))
  .withPanel(
    stacked(30, "Tasks", "Tasks that are alive, by state; many that are ready are a queue.", 8, "short", () => [
      query(sum("state", `loopsan_tasks{${ofLoop}}`), "{{state}}"),
    ]),
  )
  .withPanel(
    graph(31, "Executor queues", "How long work waits for a thread.", 8, "s", () => [
      query(quantile(0.5, "process, executor", "loopsan_executor_queue_seconds", ofProcess), "p50 {{process}} {{executor}}"),
      query(quantile(0.99, "process, executor", "loopsan_executor_queue_seconds", ofProcess), "p99 {{process}} {{executor}}"),
    ]),
  )
  .withPanel(
    graph(32, "Lock waits", "How long loops wait for locks.", 8, "s", () => [
      query(quantile(0.5, "process, loop", "loopsan_lock_wait_seconds", ofLoop), "p50 {{process}} {{loop}}"),
      query(quantile(0.99, "process, loop", "loopsan_lock_wait_seconds", ofLoop), "p99 {{process}} {{loop}}"),
    ]),
  )

  .withRow(new dashboard.RowBuilder("What loopsan itself costs").id(104))
  .withPanel(
    graph(40, "Own cost", "CPU seconds a second: of the probe in the program (its estimate), and of the collector beside it.", 8, "percentunit", () => [
      query(sum("process", rate("loopsan_probe_seconds_total", ofProcess)), "probe {{process}}"),
      query(sum("instance", rate("loopsan_collector_cpu_seconds_total", ofRun)), "collector {{instance}}"),
    ]),
  )
  .withPanel(
    graph(41, "Events dropped", "What was lost a second; if it is not 0, counts are lower bounds.", 8, "cps", () => [
      query(sum("kind", rate("loopsan_events_dropped_total", ofRun)), "{{kind}}"),
    ]),
  )
  .withPanel(
    panel(
      new table.PanelBuilder(),
      42,
      "Ways to a stack",
      "How stacks can be taken there: 1 is possible, 0 is not. With none, findings name no line.",
      8,
      9,
      () => [asTable(`max by (instance, way) (loopsan_capability{${ofRun}})`)],
    ).withTransformation({
      id: "organize",
      options: { excludeByName: { Time: true }, renameByName: { Value: "possible" } },
    }),
  )
  .build();

// What only variables of another kind have.
for (const variable of result.templating.list) {
  for (const member of ["auto", "auto_min", "auto_count"]) delete variable[member];
}

process.stdout.write(JSON.stringify(result, null, 2) + "\n");
