// The page of the HTML report.
import 'uplot/dist/uPlot.min.css';
import './flame.css';
import './style.css';

import report from './data.js';
import {button, element, formatSeconds} from './dom.js';
import {makeFindings} from './findings.js';
import {makeFlame} from './flame.js';
import {makeTimeline} from './timeline.js';

const THEME_KEY = 'loopsan-theme';

// Storage may be forbidden, as it is for some browsers' local files.
function storedTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null;
  }
}

function storeTheme(theme) {
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // Then the choice lasts as long as the page.
  }
}

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

function makeThemeButton(onchange) {
  const stored = storedTheme();
  if (stored === 'dark' || stored === 'light') document.documentElement.dataset.theme = stored;
  const toggle = button('', () => {
    const theme = isDark() ? 'light' : 'dark';
    document.documentElement.dataset.theme = theme;
    storeTheme(theme);
    update();
  }, {id: 'theme'});
  const update = () => {
    toggle.textContent = isDark() ? 'Light' : 'Dark';
    toggle.setAttribute('aria-label', isDark() ? 'use light colours' : 'use dark colours');
    onchange();
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', update);
  return {toggle, update};
}

function makeLimits() {
  if (report.limits.length === 0) return null;
  return element('section', {id: 'limits', 'aria-labelledby': 'limits-title'},
                 element('h2', {id: 'limits-title'}, 'Not everything could be seen'),
                 element('ul', {}, ...report.limits.map((limit) => element('li', {}, limit))));
}

function makeAbout() {
  const rows = report.capabilities.map(({name, available, used, reason}) => element('tr', {},
    element('td', {}, name), element('td', {}, available ? 'yes' : 'no'),
    element('td', {}, used.toLocaleString('en')), element('td', {}, reason)));
  const about = element('details', {id: 'about'}, element('summary', {}, 'About this run'),
    element('p', {}, 'Command: ', element('code', {}, report.command.join(' ') || '(unknown)')),
    element('p', {}, `It ran for ${formatSeconds(report.duration)} and ended with status ` +
                     `${report.exit_code}. A step longer than ${formatSeconds(report.threshold)} ` +
                     `counts as a stall. Reported by loopsan ${report.version}.`));
  if (rows.length > 0) {
    about.append(element('div', {class: 'scroll'}, element('table', {},
      element('thead', {}, element('tr', {}, ...['way to a stack', 'possible', 'used', 'why not']
        .map((title) => element('th', {scope: 'col'}, title)))),
      element('tbody', {}, ...rows))));
  }
  return about;
}

function whenIdle(action) {
  (window.requestIdleCallback ?? ((call) => setTimeout(call, 0)))(action);
}

const page = document.getElementById('page');
const findings = makeFindings();
const timeline = makeTimeline(findings.reveal);
const flame = makeFlame(findings.reveal, findings.searchFor);
const theme = makeThemeButton(() => timeline?.redraw());

const nav = element('nav', {class: 'top', 'aria-label': 'page'},
                    ...[['findings', 'Findings'], ['timeline', timeline && 'Timeline'],
                        ['flame', flame && 'Flame graph'], ['about', 'About']]
                      .filter(([, title]) => title)
                      .map(([id, title]) => element('a', {href: `#${id}`}, title)),
                    theme.toggle);
document.querySelector('header').append(nav);
page.append(...[findings.section, timeline?.section, flame?.section, makeLimits(), makeAbout()]
  .filter(Boolean));
theme.update();
timeline?.draw();
whenIdle(() => {
  flame?.draw();
  document.documentElement.dataset.ready = 'true';
});

let width = innerWidth;
let resizing = 0;
addEventListener('resize', () => {
  if (innerWidth === width) return;  // phones: the address bar came or went
  width = innerWidth;
  clearTimeout(resizing);
  resizing = setTimeout(() => {
    timeline?.resize();
    flame?.draw();
  }, 100);
});

// For tests of the page.
window.loopsan = {timeRanges: () => timeline?.ranges() ?? []};
