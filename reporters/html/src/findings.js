// The list of findings: searched, filtered, a page at a time.
import report, {baseName, causeOf, excerptOf, frameAt, frameName, lineText, lostSeconds, placeOf}
  from './data.js';
import {button, element, formatCount, formatSeconds} from './dom.js';

const PAGE_SIZE = 20;
const MAX_FRAMES = 60;

const findings = report.findings;
const worst = Math.max(1e-9, ...findings.slice(0, 1000).map((finding) => finding.total));

// What a search looks at, made when it is first needed.
const searchTexts = [];
function searchText(index) {
  if (searchTexts[index] === undefined) {
    const finding = findings[index];
    const parts = [
      finding.id, finding.rule, finding.message, finding.call, finding.detail, finding.cause,
      finding.category, finding.thread, finding.executable, finding.place, finding.task,
      finding.fingerprint, finding.remedy, finding.note,
      ...finding.stack.flatMap((frame) => {
        const {function: name, file, module} = frameAt(frame);
        return [name, file, module];
      }),
      ...(finding.async ?? []).flatMap((place) => [placeOf(place).name, placeOf(place).file]),
      ...(finding.members ?? []).map((member) => member.what),
    ];
    searchTexts[index] = parts.filter(Boolean).join('\n').toLowerCase();
  }
  return searchTexts[index];
}

function matches(index, filter) {
  const finding = findings[index];
  if (filter.level && finding.level !== filter.level) return false;
  if (filter.rule && finding.rule !== filter.rule) return false;
  if (filter.cause && causeOf(finding) !== filter.cause) return false;
  return filter.words.every((word) => searchText(index).includes(word));
}

function excerptElement(excerpt, line) {
  const code = element('div', {class: 'excerpt', role: 'figure', 'aria-label': 'source lines'});
  excerpt.lines.forEach((text, i) => {
    const number = excerpt.first + i;
    code.append(element('div', {class: number === line ? 'line hit' : 'line'},
                        element('span', {class: 'number', 'aria-hidden': 'true'}, String(number)),
                        element('code', {}, text || ' ')));
  });
  return code;
}

function frameElement(frame, number, isOwn, kind) {
  const item = element('li', {class: `frame${isOwn ? ' own' : ''}${frame.library ? ' foreign' : ''}`});
  const name = frameName(frame);
  item.append(element('span', {class: 'number'}, `#${number}`), ' ',
              element('span', {class: 'function', title: frame.function || name}, name));
  if (kind) item.append(' ', element('span', {class: 'tag'}, kind));
  if (frame.inlined) item.append(' ', element('span', {class: 'tag'}, 'inlined'));
  if (frame.library) item.append(' ', element('span', {class: 'tag'}, frame.library));
  const where = lineText(frame) || (frame.module ? `${baseName(frame.module)}+${frame.offset}` : '');
  if (where) item.append(' ', element('span', {class: 'where'}, where));
  const excerpt = excerptOf(frame);
  if (excerpt) {
    if (isOwn) {
      item.append(excerptElement(excerpt, frame.line));
    } else {
      item.append(lazyDetails('source', 'source', () => [excerptElement(excerpt, frame.line)]));
    }
  }
  return item;
}

function lazyDetails(summary, className, fill) {
  const details = element('details', {class: className}, element('summary', {}, summary));
  details.addEventListener('toggle', () => {
    if (details.childElementCount === 1) details.append(...fill());
  });
  return details;
}

function stackElement(stack, own, asyncStack) {
  const list = element('ol', {class: 'stack', 'aria-label': 'stack, innermost first'});
  const shown = stack.slice(0, MAX_FRAMES);
  shown.forEach((index, i) => list.append(frameElement(frameAt(index), i, i === own)));
  if (stack.length > shown.length) {
    list.append(element('li', {}, `... ${formatCount(stack.length - shown.length, 'frame')} more`));
  }
  asyncStack.slice(0, MAX_FRAMES).forEach((place, i) => {
    const isOwn = stack.length === 0 && i === 0;
    list.append(frameElement(placeOf(place), stack.length + i, isOwn, 'co_await'));
  });
  return list;
}

function fact(list, name, value) {
  if (value) list.append(element('dt', {}, name), element('dd', {}, value));
}

function callText(finding) {
  if (!finding.call) return '';
  return finding.detail ? `${finding.call}(${finding.detail})` : finding.call;
}

function placeText(place) {
  return [lineText(place), place.name].filter(Boolean).join(' in ');
}

function bodyOf(finding) {
  const body = element('div', {class: 'body'});
  if (finding.remedy) {
    body.append(element('p', {class: 'remedy'}, element('strong', {}, 'Instead: '), finding.remedy));
  }
  if (finding.note) {
    body.append(element('p', {class: 'note'}, element('strong', {}, 'Note: '), finding.note));
  }
  const facts = element('dl', {class: 'facts'});
  fact(facts, 'call', callText(finding));
  fact(facts, 'cause', [finding.cause, finding.call ? '' : finding.detail].filter(Boolean).join(', '));
  fact(facts, 'kind', finding.category);
  if (finding.total > 0) {
    fact(facts, 'time', `${formatSeconds(finding.total)} in total, ${formatSeconds(finding.max)} at ` +
                        `worst, ${formatSeconds(finding.total / Math.max(1, finding.count))} on average`);
  }
  fact(facts, 'seen', formatCount(finding.count, 'time') + (finding.in_progress ? ', not ended yet' : ''));
  fact(facts, 'thread', [finding.tid, finding.thread].filter(Boolean).join(' '));
  fact(facts, 'process', [finding.pid, finding.executable].filter(Boolean).join(' '));
  const task = [finding.task && `"${finding.task}"`, finding.task_id && `(${finding.task_id})`];
  fact(facts, 'task', task.filter(Boolean).join(' '));
  if (finding.spawned_at) {
    fact(facts, 'spawned at', placeText(placeOf(finding.spawned_at)) +
                              (finding.spawner ? ` by task "${finding.spawner}"` : ''));
  }
  fact(facts, 'stack from', finding.stack_source);
  fact(facts, 'fingerprint', finding.fingerprint);
  if (finding.where) {
    const where = placeOf(finding.where);
    body.append(element('p', {class: 'where'}, placeText(where)));
    const excerpt = excerptOf(where);
    if (excerpt) body.append(excerptElement(excerpt, where.line));
  }
  if (finding.stack.length > 0 || finding.async) {
    body.append(stackElement(finding.stack, finding.own ?? -1, finding.async ?? []));
  } else if (finding.call || finding.cause) {
    body.append(element('p', {class: 'dim'}, 'no one stack shows it'));
  }
  for (const member of finding.members ?? []) {
    body.append(element('h4', {}, member.what || 'someone'));
    if (member.where) body.append(element('p', {class: 'where'}, placeText(placeOf(member.where))));
    if (member.stack.length > 0) body.append(stackElement(member.stack, -1, []));
  }
  body.append(facts);
  return body;
}

function findingElement(index) {
  const finding = findings[index];
  const summary = element(
    'summary', {},
    element('span', {class: 'id'}, finding.id),
    element('span', {class: `badge ${finding.level}`}, finding.level),
    element('span', {class: 'message'}, finding.message,
            finding.place ? element('span', {class: 'place'}, finding.place) : null),
    element('span', {class: 'cost'},
            element('span', {class: 'seconds'}, finding.total > 0 ? formatSeconds(finding.total) : ''),
            element('span', {class: 'times'}, formatCount(finding.count, 'time'))));
  const bar = element('span', {class: `bar ${finding.level}`, 'aria-hidden': 'true'});
  bar.style.width = `${100 * Math.min(1, finding.total / worst)}%`;
  summary.append(bar);
  const details = element('details', {class: 'finding', id: `finding-${index}`}, summary);
  details.addEventListener('toggle', () => {
    if (details.open && details.childElementCount === 1) details.append(bodyOf(finding));
  });
  return details;
}

function choices(label, values, onchange) {
  const select = element('select', {'aria-label': label, onchange},
                         element('option', {value: ''}, label));
  for (const value of values) select.append(element('option', {value}, value));
  return select;
}

function distinct(of) {
  return [...new Set(findings.map(of).filter(Boolean))].sort();
}

// Where the time went, by cause; a click filters the list by it.
function causesElement(filterByCause) {
  const lost = new Map();
  for (const finding of findings) {
    if (finding.unproven || lostSeconds(finding) <= 0) continue;
    lost.set(causeOf(finding), (lost.get(causeOf(finding)) ?? 0) + lostSeconds(finding));
  }
  const causes = [...lost].sort((a, b) => b[1] - a[1]);
  const whole = causes.reduce((sum, [, seconds]) => sum + seconds, 0);
  if (whole <= 0) return null;
  const bar = element('div', {class: 'split', 'aria-hidden': 'true'});
  const legend = element('ul', {class: 'legend', 'aria-label': 'time lost by cause'});
  causes.forEach(([cause, seconds], i) => {
    const share = 100 * seconds / whole;
    const part = element('span', {class: `cause cause-${i % 8}`});
    part.style.flexGrow = String(Math.max(share, 0.5));
    bar.append(part);
    legend.append(element('li', {}, button(element('span', {}, element('span', {class: `swatch cause-${i % 8}`}),
      ` ${cause} `, element('strong', {}, formatSeconds(seconds)), ` ${share.toFixed(share < 10 ? 1 : 0)} %`),
      () => filterByCause(cause), {title: `show only findings of ${cause}`})));
  });
  return element('div', {class: 'causes'}, element('h3', {}, 'Time lost, by cause'), bar, legend);
}

export function makeFindings() {
  const filter = {words: [], level: '', rule: '', cause: ''};
  let found = findings.map((_, index) => index);
  let first = 0;

  const list = element('div', {class: 'list', id: 'finding-list'});
  const status = element('p', {class: 'status', role: 'status', 'aria-live': 'polite', id: 'finding-status'});
  const previous = button('Previous', () => showPage(first - PAGE_SIZE, true), {id: 'previous-page'});
  const next = button('Next', () => showPage(first + PAGE_SIZE, true), {id: 'next-page'});
  const pages = element('nav', {class: 'pages', 'aria-label': 'pages of findings'}, previous, next);

  function showPage(from, scroll = false) {
    first = Math.max(0, Math.min(from, Math.floor((found.length - 1) / PAGE_SIZE) * PAGE_SIZE));
    const end = Math.min(first + PAGE_SIZE, found.length);
    list.replaceChildren(...found.slice(first, end).map(findingElement));
    const all = found.length === findings.length ? '' : ` (of ${findings.length.toLocaleString('en')})`;
    status.textContent = found.length === 0
      ? (findings.length === 0 ? 'No findings.' : 'No finding matches.')
      : `${(first + 1).toLocaleString('en')}-${end.toLocaleString('en')} of ` +
        formatCount(found.length, 'finding') + all;
    previous.disabled = first === 0;
    next.disabled = end >= found.length;
    pages.hidden = found.length <= PAGE_SIZE;
    if (scroll) status.scrollIntoView({block: 'start'});
  }

  function apply() {
    found = findings.map((_, index) => index).filter((index) => matches(index, filter));
    showPage(0);
  }

  const search = element('input', {
    type: 'search', id: 'search', placeholder: 'Search: function, file, call, thread ...',
    'aria-label': 'search findings', autocomplete: 'off', spellcheck: 'false',
    oninput: () => {
      filter.words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      apply();
    }});
  const set = (field) => (event) => {
    filter[field] = event.target.value;
    apply();
  };
  const level = choices('any level', ['error', 'warning', 'note'], set('level'));
  const rule = choices('any rule', distinct((finding) => finding.rule), set('rule'));
  const cause = choices('any cause', distinct(causeOf), set('cause'));
  const clear = button('Clear', () => {
    search.value = level.value = rule.value = cause.value = '';
    Object.assign(filter, {words: [], level: '', rule: '', cause: ''});
    apply();
  }, {id: 'clear-filter'});

  const section = element(
    'section', {id: 'findings', 'aria-labelledby': 'findings-title'},
    element('h2', {id: 'findings-title'}, 'Findings'),
    causesElement((value) => {
      cause.value = filter.cause = value;
      apply();
    }),
    element('div', {class: 'filter', role: 'search'}, search, level, rule, cause, clear),
    status, list, pages);
  showPage(0);
  if (findings.length === 1) list.firstElementChild.open = true;

  // Opens a finding wherever it is, without the filter if that hides it.
  function reveal(index) {
    if (!found.includes(index)) clear.click();
    const at = found.indexOf(index);
    if (at < first || at >= first + PAGE_SIZE) showPage(Math.floor(at / PAGE_SIZE) * PAGE_SIZE);
    const details = document.getElementById(`finding-${index}`);
    details.open = true;
    details.scrollIntoView({block: 'start'});
    details.firstElementChild.focus({preventScroll: true});
  }

  function searchFor(text) {
    search.value = text;
    search.dispatchEvent(new Event('input'));
    section.scrollIntoView({block: 'start'});
  }

  return {section, reveal, searchFor};
}
