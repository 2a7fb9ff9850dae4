// Where the loops lost their time: the merged stacks of all findings, outermost first.
import flamegraph from 'd3-flame-graph';
import {select} from 'd3-selection';

import report, {frameAt, frameName, lostSeconds, placeOf} from './data.js';
import {button, element, formatSeconds, prefersLessMotion} from './dom.js';

const MAX_FINDINGS = 3000;
const MAX_FOCUSABLE = 400;

function newNode(name, kind) {
  return {name, kind, value: 0, children: [], byName: new Map(), finding: -1};
}

function childOf(node, name, kind) {
  let child = node.byName.get(name);
  if (child === undefined) {
    child = newNode(name, kind);
    node.byName.set(name, child);
    node.children.push(child);
  }
  return child;
}

function buildTree() {
  const root = newNode('all loops', 'root');
  const counted = report.findings
    .map((finding, index) => ({finding, index, lost: finding.unproven ? 0 : lostSeconds(finding)}))
    .filter(({lost}) => lost > 0)
    .slice(0, MAX_FINDINGS);
  for (const {finding, index, lost} of counted) {
    const path = [[`loop ${finding.thread || finding.tid}`, 'root']];
    for (const place of [...(finding.async ?? [])].reverse()) {
      const {name, file} = placeOf(place);
      path.push([name || file, 'coroutine']);
    }
    for (const frame of [...finding.stack].reverse().map(frameAt)) {
      if (frame.startsThread) continue;
      path.push([frameName(frame), frame.library ? 'library' : 'own']);
    }
    path.push([finding.call || finding.cause || finding.rule, 'blocked']);
    root.value += lost;
    let node = root;
    for (const [name, kind] of path) {
      node = childOf(node, name, kind);
      node.value += lost;
      if (node.finding < 0) node.finding = index;
    }
  }
  return root;
}

const COLORS = {root: '--flame-root', own: '--flame-own', library: '--flame-library',
                coroutine: '--flame-coroutine', blocked: '--flame-blocked'};

export function makeFlame(reveal, searchFor) {
  const tree = buildTree();
  if (tree.value <= 0) return null;

  const holder = element('div', {id: 'flame-chart', class: 'flame'});
  const details = element('p', {class: 'status', role: 'status', id: 'flame-details'});
  const toFinding = button('', () => {}, {id: 'flame-to-finding', hidden: true});
  const toSearch = button('', () => {}, {id: 'flame-to-search', hidden: true});
  let chart = null;

  const label = ({data}) => `${data.name}: ${formatSeconds(data.value)}, ` +
                            `${(100 * data.value / tree.value).toFixed(1)} %`;

  function choose({data}) {
    details.textContent = label({data});
    if (data.finding >= 0) {
      const finding = report.findings[data.finding];
      toFinding.textContent = `Show ${finding.id}`;
      toFinding.onclick = () => reveal(data.finding);
    }
    toSearch.textContent = 'Findings with this function';
    toSearch.onclick = () => searchFor(data.name);
    toFinding.hidden = data.finding < 0;
    toSearch.hidden = data.kind === 'root';
    makeFocusable();
  }

  // The library's frames are for the mouse only.
  function makeFocusable() {
    const frames = [...holder.querySelectorAll('g.frame')].slice(0, MAX_FOCUSABLE);
    for (const frame of frames) {
      if (frame.hasAttribute('tabindex')) continue;
      frame.setAttribute('tabindex', '0');
      frame.setAttribute('role', 'button');
      frame.addEventListener('keydown', (event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        frame.dispatchEvent(new MouseEvent('click', {bubbles: true}));
      });
      frame.addEventListener('focus', () => {
        details.textContent = frame.querySelector('title')?.textContent ?? '';
      });
    }
  }

  function draw() {
    if (chart !== null) chart.destroy();
    holder.replaceChildren();
    chart = flamegraph()
      .width(Math.max(240, holder.clientWidth))
      .cellHeight(20)
      .minFrameSize(2)
      .inverted(true)
      .sort((a, b) => b.data.value - a.data.value)
      .selfValue(false)
      .transitionDuration(prefersLessMotion() ? 0 : 250)
      .setColorMapper(({data, highlight}) => `var(${highlight ? '--flame-highlight' : COLORS[data.kind]})`)
      .setLabelHandler(label)
      .setDetailsHandler((text) => { if (text) details.textContent = text; })
      .onClick(choose);
    select(holder).datum(tree).call(chart);
    makeFocusable();
  }

  const section = element(
    'section', {id: 'flame', 'aria-labelledby': 'flame-title'},
    element('h2', {id: 'flame-title'}, 'Where the loops lost their time'),
    element('div', {class: 'controls'},
            button('All', () => chart.resetZoom(), {id: 'flame-reset', 'aria-label': 'show all frames'}),
            toFinding, toSearch),
    element('p', {class: 'dim hint'}, 'As wide as the time that was lost in it; click to zoom. Frames too ' +
      'narrow to be seen appear then.'),
    details, holder,
    element('ul', {class: 'legend'}, ...[
      ['own', 'your code'], ['library', 'libraries'], ['coroutine', 'coroutines that wait'],
      ['blocked', 'what blocked'],
    ].map(([kind, text]) => element('li', {}, element('span', {class: `swatch flame-${kind}`}), ` ${text}`))));
  return {section, draw};
}
