// What the loops did when: graphs on one time axis, zoomed together.
import uPlot from 'uplot';

import report from './data.js';
import {button, cssColor, element, formatCount, formatSeconds} from './dom.js';

const LANES = [
  {title: 'turn', kinds: ['turn', 'step'], color: '--lane-turn'},
  {title: 'stall', kinds: ['stall'], color: '--lane-stall'},
  {title: 'call', kinds: ['blocking-call'], color: '--lane-call'},
  {title: 'wait', kinds: ['wait'], color: '--lane-wait'},
];
const LANE_HEIGHT = 18;
const AXIS_WIDTH = 64;
const AXIS_HEIGHT = 34;
const TOP = 8;

function loopLabel(loop) {
  const name = loop.thread || `thread ${loop.tid}`;
  return `${name} (${loop.pid}/${loop.tid})${loop.proven ? '' : ', may be no loop'}: ` +
         `longest step ${formatSeconds(loop.longest)}`;
}

// A point where an interval begins, and one where the last ends. Where nothing was
// measured for a while the line has a gap.
function columnsOf({start, duration, busy, cpu, longest}) {
  const time = [];
  const delay = [];
  const busyShare = [];
  const cpuShare = [];
  const add = (at, a, b, c) => {
    if (time.length > 0 && at <= time[time.length - 1]) return;
    time.push(at);
    delay.push(a);
    busyShare.push(b);
    cpuShare.push(c);
  };
  start.forEach((at, i) => {
    const long = Math.max(duration[i], 1e-6);
    const share = (part) => Math.min(100, 100 * part / long);
    add(at, longest[i] * 1e3, share(busy[i]), share(cpu[i]));
    const end = at + long;
    const following = start[i + 1];
    if (following === undefined || following > end + long) {
      add(end, longest[i] * 1e3, share(busy[i]), share(cpu[i]));
      if (following !== undefined) add(end + 1e-6, null, null, null);
    }
  });
  return {time, delay, busyShare, cpuShare};
}

export function makeTimeline(reveal) {
  const loops = report.loops
    .map((loop) => ({...loop, any: loop.intervals.start.length + loop.spans.length > 0}))
    .filter((loop) => loop.any)
    .sort((a, b) => b.proven - a.proven || b.longest - a.longest);
  if (loops.length === 0) return null;

  let loop = loops[0];
  let plots = [];
  let range = [0, 1];  // of the whole run
  let shown = range;
  let linking = false;

  const charts = element('div', {class: 'charts', id: 'charts', tabindex: '0', role: 'group',
                                 'aria-label': 'graphs; arrow keys move, plus and minus zoom, 0 shows all'});
  const shownText = element('output', {class: 'dim', id: 'shown-range'});
  const summary = element('p', {class: 'dim', id: 'loop-summary'});

  function zoomTo(min, max) {
    const whole = range[1] - range[0];
    const length = Math.min(Math.max(max - min, whole * 1e-6, 1e-5), whole);
    const begin = Math.min(Math.max(min, range[0]), range[1] - length);
    shown = [begin, begin + length];
    linking = true;
    for (const plot of plots) plot.setScale('x', {min: shown[0], max: shown[1]});
    linking = false;
    shownText.textContent = `${shown[0].toFixed(3)} s to ${shown[1].toFixed(3)} s`;
  }
  function zoomBy(factor) {
    const middle = (shown[0] + shown[1]) / 2;
    const half = (shown[1] - shown[0]) / 2 * factor;
    zoomTo(middle - half, middle + half);
  }
  function moveBy(share) {
    const by = (shown[1] - shown[0]) * share;
    zoomTo(shown[0] + by, shown[1] + by);
  }
  const zoomOut = () => zoomTo(...range);

  const link = {
    setScale: [(plot, key) => {
      if (key !== 'x' || linking) return;
      const {min, max} = plot.scales.x;
      if (min !== null && max !== null) zoomTo(min, max);
    }],
  };

  function options(height, extra) {
    const axis = {
      stroke: () => cssColor('--dim'), grid: {stroke: () => cssColor('--grid'), width: 1},
      ticks: {stroke: () => cssColor('--grid'), width: 1}, font: '12px system-ui, sans-serif',
    };
    return {
      width: Math.max(240, charts.clientWidth), height,
      scales: {x: {time: false}, y: {range: (_, __, max) => [0, Math.max(max, 1) * 1.05]}, ...extra.scales},
      cursor: {sync: {key: 'loopsan'}, drag: {x: true, y: false}, y: false, ...extra.cursor},
      legend: {show: extra.legend !== false, live: true},
      padding: [TOP, null, 0, null],
      axes: [{...axis, space: 70, size: AXIS_HEIGHT, values: (_, ticks) => ticks.map((tick) => `${+tick.toFixed(6)} s`)},
             {...axis, size: AXIS_WIDTH, ...extra.axis}],
      series: [{label: 'at', value: (_, value) => (value === null ? '--' : `${value.toFixed(3)} s`)},
               ...extra.series],
      hooks: {...link, ...extra.hooks},
    };
  }

  function series(label, color, fill, value) {
    return {
      label, value: (_, raw) => (raw === null || raw === undefined ? '--' : value(raw)),
      stroke: () => cssColor(color), fill: fill ? () => cssColor(fill) : undefined, width: 1.5,
      paths: uPlot.paths.stepped({align: 1}), points: {show: false}, spanGaps: false,
    };
  }

  // Rectangles that would fall on one column of pixels are drawn once.
  function drawSpans(plot) {
    const {ctx, bbox} = plot;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const drawnTo = LANES.map(() => -1);
    for (const [kind, start, duration] of loop.spans) {
      if (start > shown[1] || start + duration < shown[0]) continue;
      const lane = LANES.findIndex(({kinds}) => kinds.includes(kind));
      if (lane < 0) continue;
      const left = Math.round(plot.valToPos(start, 'x', true));
      const right = Math.max(left + scale, plot.valToPos(start + duration, 'x', true));
      if (right <= drawnTo[lane]) continue;
      drawnTo[lane] = right;
      ctx.fillStyle = cssColor(LANES[lane].color);
      ctx.fillRect(left, bbox.top + (lane * LANE_HEIGHT + 2) * scale, right - left,
                   (LANE_HEIGHT - 4) * scale);
    }
    ctx.restore();
  }

  function spanAt(plot) {
    const {left, top} = plot.cursor;
    if (left === null || left < 0) return null;
    const at = plot.posToVal(left, 'x');
    const near = Math.abs(plot.posToVal(left + 3, 'x') - at);
    const lane = LANES[Math.floor(top / LANE_HEIGHT)];
    let best = null;
    for (const span of loop.spans) {
      const [kind, start, duration] = span;
      if (!lane?.kinds.includes(kind) || start - near > at || start + duration + near < at) continue;
      if (best === null || duration > best[2]) best = span;
    }
    return best;
  }

  function showSpan(plot) {
    const span = spanAt(plot);
    plot.over.style.cursor = span !== null && span[3] >= 0 ? 'pointer' : '';
    plot.over.title = span === null ? '' :
      `${span[0]} of ${formatSeconds(span[2])} at ${span[1].toFixed(3)} s` +
      (span[3] >= 0 ? `\n${report.findings[span[3]].id}: ${report.findings[span[3]].message}` : '');
  }

  // The whole run, unless `keep` says which part.
  function makePlots(keep) {
    for (const plot of plots) plot.destroy();
    charts.replaceChildren();
    const {time, delay, busyShare, cpuShare} = columnsOf(loop.intervals);
    const ends = loop.spans.map(([, start, duration]) => start + duration);
    const last = Math.max(time[time.length - 1] ?? 0, ends.reduce((a, b) => Math.max(a, b), 0));
    range = [0, Math.max(last, 1e-3)];
    if (time.length === 0) {
      time.push(0, range[1]);
      [delay, busyShare, cpuShare].forEach((column) => column.push(null, null));
    }
    shown = range;
    const percent = (value) => `${value.toFixed(value < 10 ? 1 : 0)} %`;
    const milliseconds = (value) => formatSeconds(value / 1e3);
    const add = (title, id, columns, made) => {
      const holder = element('div', {class: 'chart', id}, element('h3', {}, title));
      charts.append(holder);
      plots.push(new uPlot(made, columns, holder));
    };
    plots = [];
    add('Loop delay: the longest step', 'delay-chart', [time, delay],
        options(170, {
          series: [series('delay', '--delay', '--delay-fill', milliseconds)],
          axis: {values: (_, ticks) => ticks.map(milliseconds)},
        }));
    add('Utilisation and CPU', 'load-chart', [time, busyShare, cpuShare],
        options(150, {
          scales: {y: {range: [0, 100]}},
          series: [series('busy', '--busy', '--busy-fill', percent), series('CPU', '--cpu', null, percent)],
          axis: {values: (_, ticks) => ticks.map((tick) => `${tick} %`)},
        }));
    if (loop.spans.length > 0) {
      add('What took long (click for the finding), and idle waits', 'span-chart', [time, time.map(() => null)],
          options(LANES.length * LANE_HEIGHT + AXIS_HEIGHT + TOP, {
            legend: false,
            scales: {y: {range: [0, 1]}},
            series: [{label: '', points: {show: false}}],
            axis: {grid: {show: false}, ticks: {show: false}, splits: () => LANES.map((_, i) =>
                     1 - (i + 0.5) / LANES.length), values: () => LANES.map(({title}) => title)},
            hooks: {draw: [drawSpans], setCursor: [showSpan]},
          }));
      const plot = plots[plots.length - 1];
      let pressedAt = NaN;
      plot.over.addEventListener('mousedown', (event) => { pressedAt = event.clientX; });
      plot.over.addEventListener('mouseup', (event) => {
        if (!(Math.abs(event.clientX - pressedAt) <= 3)) return;  // it was a selection
        const span = spanAt(plot);
        if (span !== null && span[3] >= 0) reveal(span[3]);
      });
    }
    for (const plot of plots) {
      plot.over.addEventListener('dblclick', zoomOut);
    }
    zoomTo(...(keep ?? range));
    summary.textContent =
      `${loop.executable ? `${loop.executable}, ` : ''}${loop.kind || 'loop'}` +
      `${loop.function ? ` in ${loop.function}` : ''}: ${formatCount(loop.turns, 'turn')}, busy for ` +
      `${formatSeconds(loop.busy)}, idle for ${formatSeconds(loop.idle)}, longest step ` +
      formatSeconds(loop.longest);
  }

  charts.addEventListener('keydown', (event) => {
    const action = {ArrowLeft: () => moveBy(-0.25), ArrowRight: () => moveBy(0.25), '+': () => zoomBy(0.5),
                    '=': () => zoomBy(0.5), '-': () => zoomBy(2), 0: zoomOut}[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });

  const select = element('select', {id: 'loop', 'aria-label': 'loop', onchange: () => {
    loop = loops[Number(select.value)];
    makePlots();
  }});
  loops.forEach((one, i) => select.append(element('option', {value: String(i)}, loopLabel(one))));

  const section = element(
    'section', {id: 'timeline', 'aria-labelledby': 'timeline-title'},
    element('h2', {id: 'timeline-title'}, 'Timeline'),
    element('div', {class: 'controls'}, select,
            element('span', {class: 'buttons', role: 'group', 'aria-label': 'zoom'},
                    button('\u2212', () => zoomBy(2), {'aria-label': 'zoom out', id: 'zoom-out'}),
                    button('+', () => zoomBy(0.5), {'aria-label': 'zoom in', id: 'zoom-in'}),
                    button('\u2190', () => moveBy(-0.5), {'aria-label': 'earlier', id: 'move-left'}),
                    button('\u2192', () => moveBy(0.5), {'aria-label': 'later', id: 'move-right'}),
                    button('All', zoomOut, {'aria-label': 'show the whole run', id: 'zoom-all'})),
            shownText),
    summary, charts,
    element('p', {class: 'dim hint'}, 'Drag over a graph to zoom into that time; double-click to see all.' +
      (report.hidden_spans > 0
        ? ` Of what took long the longest are shown, ${report.hidden_spans.toLocaleString('en')} are not.` : '') +
      (report.hidden_waits > 0
        ? ` ${report.hidden_waits.toLocaleString('en')} idle waits are not shown.` : '')));

  return {
    section,
    draw: () => makePlots(),
    redraw: () => { if (plots.length > 0) makePlots(shown); },
    resize: () => plots.forEach((plot) =>
      plot.setSize({width: Math.max(240, charts.clientWidth), height: plot.height})),
    ranges: () => plots.map((plot) => [plot.scales.x.min, plot.scales.x.max]),
  };
}
