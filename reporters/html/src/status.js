// The status page: asks for status.json every two seconds and shows it. What the
// program says is put on the page as text only (dom.js). Elements stay while they are
// updated, so that a name can be selected, and a reader keeps its place.
import './status.css';

import {element, formatCount, formatSeconds} from './dom.js';

const PERIOD_MS = 2000;
const PATIENCE_MS = 5000;  // an answer that takes longer is none
const SVG = 'http://www.w3.org/2000/svg';
const SPARK_WIDTH = 120;
const SPARK_HEIGHT = 22;

const verdict = document.getElementById('verdict');
const run = document.getElementById('run');
const connection = document.getElementById('connection');

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}

// The longer a run, the longer its intervals.
function formatWindow(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

function fileLine({file, line}) {
  return file && line > 0 ? `${file}:${line}` : file;
}

// Makes the children of `parent` those of `items`, in their order; an item whose key
// was there before keeps its element.
function showItems(parent, items, keyOf, make, update) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = [];
  const count = new Map();
  for (const item of items) {
    const base = keyOf(item);
    count.set(base, (count.get(base) ?? 0) + 1);
    const key = `${base}#${count.get(base)}`;
    const child = before.get(key) ?? make();
    child.dataset.key = key;
    update(child, item);
    wanted.push(child);
  }
  wanted.forEach((child, i) => {
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
  });
  while (parent.children.length > wanted.length) parent.lastElementChild.remove();
}

// ---- Loops ----------------------------------------------------------------------

function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function makeSparkline() {
  const base = SPARK_HEIGHT - 0.5;
  return svg('svg', {class: 'spark', role: 'img', width: SPARK_WIDTH, height: SPARK_HEIGHT,
                     viewBox: `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`},
             svg('path', {class: 'area'}), svg('path', {class: 'line'}),
             svg('path', {class: 'base', d: `M0 ${base}H${SPARK_WIDTH}`}));
}

function updateSparkline(spark, {utilisation, utilisation_seconds: seconds}) {
  const [area, line] = spark.children;
  const y = (share) => (1 + (1 - share) * (SPARK_HEIGHT - 2)).toFixed(1);
  const step = SPARK_WIDTH / Math.max(utilisation.length - 1, 1);
  const points = utilisation.map((share, i) => `${(i * step).toFixed(1)} ${y(share)}`);
  if (points.length === 1) points.push(`${SPARK_WIDTH} ${y(utilisation[0])}`);
  line.setAttribute('d', points.length > 0 ? `M${points.join('L')}` : '');
  area.setAttribute('d', points.length > 0
    ? `M0 ${SPARK_HEIGHT}L${points.join('L')}L${SPARK_WIDTH} ${SPARK_HEIGHT}Z` : '');
  spark.setAttribute('aria-label', utilisation.length === 0 ? 'not measured yet'
    : `utilisation of the last ${formatSeconds(seconds)}: ` +
      `${percent(Math.min(...utilisation))} to ${percent(Math.max(...utilisation))}`);
}

const LOOP_COLUMNS = ['Loop', 'Utilisation', 'Longest step', '1 in 100 steps', 'Turns', 'Busy', 'Idle'];

function makeLoopRow() {
  return element('tr', {},
    element('td', {class: 'loop'}, element('span', {class: 'names'}), element('span', {class: 'more'}),
            element('span', {class: 'state'})),
    element('td', {class: 'load'}, makeSparkline(), element('span', {class: 'now'})),
    ...LOOP_COLUMNS.slice(2).map((label) => element('td', {'data-label': label})));
}

function updateLoopRow(row, loop) {
  const [name, load, longest, p99, turns, busy, idle] = row.children;
  row.classList.toggle('stalled', loop.stalled);
  setText(name.children[0], `${loop.thread || 'unnamed thread'} of ${loop.process || 'unnamed process'}`);
  setText(name.children[1], `${loop.kind}, process ${loop.pid}, thread ${loop.thread_id}` +
                            (loop.proven ? '' : '; may be a worker that only waits with epoll'));
  row.classList.toggle('late', loop.late_seconds > 0);
  setText(name.children[2], loop.stalled ? `stalled for ${formatSeconds(loop.stalled_seconds)}`
    : loop.late_seconds > 0 ? `has not come back to its wait for ${formatSeconds(loop.late_seconds)}` : '');
  updateSparkline(load.children[0], loop);
  setText(load.children[1], loop.utilisation.length > 0 ? percent(loop.utilisation_mean) : 'not measured yet');
  setText(longest, formatSeconds(loop.longest_step_seconds));
  setText(p99, loop.p99_step_seconds > 0 ? `\u2265 ${formatSeconds(loop.p99_step_seconds)}` : '0 s');
  setText(turns, loop.turns.toLocaleString('en'));
  setText(busy, formatSeconds(loop.busy_seconds));
  setText(idle, formatSeconds(loop.idle_seconds));
}

// ---- Sites ----------------------------------------------------------------------

function makeSite() {
  return element('li', {class: 'site'},
    element('div', {class: 'top'}, element('span', {class: 'badge'}), element('span', {class: 'title'}),
            element('span', {class: 'cost'}, element('strong', {}), element('span', {class: 'dim'}))),
    element('p', {class: 'place'}), element('p', {class: 'dim'}), element('p', {class: 'remedy'}),
    element('div', {class: 'bar'}));
}

function updateSite(item, site, seconds, more, share) {
  const [top, place, message, remedy, bar] = item.children;
  const [badge, title, cost] = top.children;
  const level = ['error', 'warning'].includes(site.level) ? site.level : 'note';
  badge.className = `badge ${level}`;
  setText(badge, site.rule);
  setText(title, [site.call || site.cause || site.rule, site.function].filter(Boolean).join(' in '));
  setText(cost.children[0], formatSeconds(seconds));
  setText(cost.children[1], more);
  setText(place, fileLine(site) || 'no line known');
  setText(message, site.message);
  setText(remedy, site.remedy);
  remedy.hidden = site.remedy === '';
  bar.className = `bar ${level}`;
  bar.style.width = `${(share * 100).toFixed(1)}%`;
}

// ---- The page -------------------------------------------------------------------

function makeSection(id, title, ...children) {
  const empty = element('p', {class: 'dim empty'});
  const hidden = element('p', {class: 'dim more'});
  const section = element('section', {id, 'aria-labelledby': `${id}-title`},
                          element('h2', {id: `${id}-title`}, title), empty, ...children, hidden);
  return {section, empty, hidden};
}

const stallList = element('ul', {class: 'sites'});
const stalls = makeSection('stalls', 'Stalled right now', stallList);
const loopRows = element('tbody', {});
const loopTable = element('table', {}, element('thead', {}, element('tr', {},
  ...LOOP_COLUMNS.map((title) => element('th', {scope: 'col'}, title)))), loopRows);
const loadTitle = loopTable.querySelectorAll('th')[1];
const loops = makeSection('loops', 'Loops', loopTable);
const siteList = element('ol', {class: 'sites'});
const sites = makeSection('sites', 'What took the most time', siteList);
const limits = element('p', {class: 'dim', id: 'limits'});
document.getElementById('page').append(stalls.section, loops.section, sites.section, limits);

function verdictOf(status) {
  const {loops: shown, stalls: held} = status;
  if (status.proven_loops === 0 && held.length === 0) {
    return 'loopsan: no event loop seen yet';
  }
  const count = formatCount(status.proven_loops, 'loop');
  const busiest = shown.filter(({proven}) => proven)
    .reduce((a, b) => (a && a.utilisation_mean >= b.utilisation_mean ? a : b), undefined);
  const busy = busiest
    ? `${status.proven_loops === 1 ? 'it is' : `the busiest, ${busiest.thread} of ${busiest.process}, is`} ` +
      `${percent(busiest.utilisation_mean)} busy` : 'none is measured yet';
  if (held.length > 0) {
    const {thread, process, stalled_seconds: seconds} = held[0];
    const others = held.length + status.hidden_stalls - 1;
    return `loopsan: ${thread} of ${process} has been stalled for ${formatSeconds(seconds)}` +
           `${others > 0 ? `, and ${formatCount(others, 'other stall')}` : ''}; ${count}, ${busy}`;
  }
  const late = shown.find((loop) => loop.proven && loop.late_seconds > 0);
  if (late) {
    return `loopsan: ${late.thread} of ${late.process} has not come back to its wait for ` +
           `${formatSeconds(late.late_seconds)}${status.late_loops > 1 ? `, and ${formatCount(status.late_loops - 1, 'other loop')}` : ''}` +
           `; ${count}, ${busy}`;
  }
  return `loopsan: ${count}, ${busy}; nothing is stalled right now`;
}

function limitsOf({dropped, unproven_findings: unproven}) {
  const said = [[dropped.loops, 'loop', 'found no room and was not watched', 'found no room and were not watched'],
                [dropped.sites, 'call', 'from a new place was not counted', 'from new places were not counted'],
                [dropped.snapshots, 'stack', 'found no room', 'found no room'],
                [dropped.events, 'event', 'was overwritten', 'were overwritten'],
                [dropped.unsure, 'gap', 'could not be tied to one callback', 'could not be tied to one callback'],
                [unproven, 'finding', 'is on a thread that may not be a loop', 'are on threads that may not be loops']]
    .filter(([number]) => number > 0)
    .map(([number, what, one, many]) => `${formatCount(number, what)} ${number === 1 ? one : many}`);
  return said.length > 0 ? `Not everything is shown: ${said.join('; ')}.` : '';
}

function showMore({hidden}, number, what) {
  hidden.hidden = number === 0;
  setText(hidden, number === 0 ? '' : `and ${formatCount(number, what)} more, in report.json`);
}

function showEmpty({empty}, text) {
  empty.hidden = text === '';
  setText(empty, text);
}

const siteKey = ({fingerprint, process}) => `${fingerprint} ${process}`;

function show(status) {
  setText(verdict, verdictOf(status));
  document.title = verdict.textContent;
  verdict.className = status.stalls.length > 0 || status.late_loops > 0 ? 'stalled' : '';
  setText(run, `${status.command || 'The program'} has run for ${formatSeconds(status.duration_seconds)}; ` +
               `a step longer than ${formatSeconds(status.threshold_seconds)} is a stall. Its loops have been ` +
               `blocked for ${formatSeconds(status.blocked_seconds)} so far.`);

  showItems(stallList, status.stalls, siteKey, makeSite, (item, stall) => {
    item.classList.add('stall');
    updateSite(item, stall, stall.stalled_seconds, `so far, ${stall.thread} of ${stall.process}`, 0);
  });
  showEmpty(stalls, status.stalls.length > 0 ? '' : status.late_loops > 0
    ? 'What holds a loop up is not known yet: it may have been left, or tells when it waits again.'
    : 'No loop is stalled.');
  showMore(stalls, status.hidden_stalls, 'stall');

  showItems(loopRows, status.loops, ({pid, thread_id: tid}) => `${pid}:${tid}`, makeLoopRow, updateLoopRow);
  const window = Math.max(0, ...status.loops.map((loop) => loop.utilisation_seconds));
  setText(loadTitle, window > 0 ? `Utilisation, last ${formatWindow(window)}` : 'Utilisation');
  loopTable.hidden = status.loops.length === 0;
  showEmpty(loops, status.loops.length > 0 ? ''
    : 'A loop is seen when one of its threads comes back from its wait for events.');
  showMore(loops, status.hidden_loops, 'less busy loop');

  const most = Math.max(...status.sites.map((site) => site.total_seconds), 1e-9);
  showItems(siteList, status.sites, siteKey, makeSite, (item, site) => {
    updateSite(item, site, site.total_seconds,
               `${formatCount(site.count, 'time')}, ${formatSeconds(site.max_seconds)} at worst`,
               site.total_seconds / most);
  });
  showEmpty(sites, status.sites.length > 0 ? '' : 'Nothing blocked a loop so far.');
  showMore(sites, status.hidden_sites, 'place');
  setText(limits, limitsOf(status));
}

// ---- Asking ---------------------------------------------------------------------

let answeredAt = null;  // when the last answer came
let failedBefore = false;

function clock(date) {
  return date.toLocaleTimeString('en-GB');
}

async function ask() {
  const response = await fetch('status.json', {cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS)});
  if (!response.ok) throw new Error(`the answer was ${response.status}`);
  return response.json();
}

function showConnected() {
  answeredAt = new Date();
  failedBefore = false;
  connection.className = '';
  document.body.classList.remove('lost-page');
  setText(connection, 'Live: asked again every 2 s.');
}

function showLost() {
  if (failedBefore) return;
  failedBefore = true;
  connection.className = 'lost';
  document.body.classList.add('lost-page');
  setText(connection, answeredAt
    ? `No answer since ${clock(answeredAt)}: the run has ended, or cannot be reached. This is what was so then.`
    : 'No answer: the run has ended, or cannot be reached.');
  if (answeredAt) {
    verdict.className = '';
    setText(verdict, `loopsan: no answer since ${clock(answeredAt)}`);
    document.title = verdict.textContent;
  }
}

async function look() {
  const status = await ask().catch(() => null);
  setTimeout(lookWhenSeen, PERIOD_MS);
  if (status === null) {
    showLost();
  } else {
    show(status);
    showConnected();
  }
  document.documentElement.dataset.ready = 'true';
}

// Nobody is asked for a page that nobody sees.
function lookWhenSeen() {
  if (!document.hidden) {
    look();
    return;
  }
  document.addEventListener('visibilitychange', lookWhenSeen, {once: true});
}

lookWhenSeen();
