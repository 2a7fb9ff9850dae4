// Uses the HTML report as a person does. Prints what is wrong; exits with 1 then.
//
//   node use_report.mjs CHROMIUM SAMPLE.html BIG.html [SCREENSHOT_DIRECTORY]
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

import {Browser, runChecks} from './chromium.mjs';

const [, , executable, samplePath, bigPath, screenshots] = process.argv;
const sample = pathToFileURL(resolve(samplePath)).href;
const big = pathToFileURL(resolve(bigPath)).href;
const browser = await Browser.start(executable);

const $ = (selector) => `document.querySelector(${JSON.stringify(selector)})`;
const text = (selector) => browser.evaluate(`${$(selector)}.textContent`);
const count = (selector) => browser.evaluate(`document.querySelectorAll(${JSON.stringify(selector)}).length`);
const click = (selector) => browser.evaluate(`${$(selector)}.click()`);
const ranges = () => browser.evaluate('loopsan.timeRanges()');

async function type(words) {
  await browser.evaluate(`(() => {
    const input = ${$('#search')};
    input.focus();
    input.select();
  })()`);
  await browser.send('Input.insertText', {text: words});
}

async function centerOf(selector) {
  return browser.evaluate(`(() => {
    ${$(selector)}.scrollIntoView({block: 'center'});
    const {left, top, width, height} = ${$(selector)}.getBoundingClientRect();
    return {x: left + width / 2, y: top + height / 2, left, top, width, height};
  })()`);
}

// A picture of what a person sees who has scrolled to `selector`.
async function shoot(name, selector = 'body') {
  if (!screenshots) return;
  await browser.evaluate(`${$(selector)}.scrollIntoView({block: 'start'})`);
  await new Promise((resolve) => setTimeout(resolve, 400));  // let transitions end
  writeFileSync(join(screenshots, `${name}.png`), await browser.screenshot());
}

function isQuiet(url) {
  assert.deepEqual(browser.complaints(), []);
  assert.deepEqual(browser.requests().filter((one) => one !== url && !one.startsWith('data:')), []);
}

const checks = {
  async 'hostile text is text'() {
    await browser.size(1280, 900);
    await browser.open(sample);
    assert.equal(await count('#finding-list > details'), 8);
    await browser.evaluate(`document.querySelectorAll('details').forEach((one) => { one.open = true; })`);
    await browser.until(`document.querySelectorAll('.finding .body').length === 8`);
    assert.equal(await count('script'), 2);
    assert.equal(await count('img, iframe, object, embed, link[rel=stylesheet]'), 0);
    assert.match(await text('#finding-list'), /<\/script><script>alert\(1\)<\/script>/);
    assert.match(await text('#finding-list'), /\\x1b/);
    isQuiet(sample);
  },

  async 'a large report opens in under 3 s'() {
    const before = performance.now();
    await browser.open(big);
    const seconds = (performance.now() - before) / 1000;
    console.log(`opened in ${seconds.toFixed(2)} s`);
    assert.ok(seconds < 3, `opened in ${seconds.toFixed(2)} s`);
    assert.match(await text('#verdict'), /^loopsan: 10,000 findings: /);
    assert.match(await text('#finding-status'), /^1-20 of 10,000 findings/);
    assert.equal(await count('#finding-list > details'), 20);
    await shoot('light');
    await shoot('light-timeline', '#timeline');
  },

  async 'pages, search and filters'() {
    await click('#next-page');
    assert.match(await text('#finding-status'), /^21-40 of/);
    await click('#previous-page');
    await type('handler4321 onrequest');
    await browser.until(`${$('#finding-status')}.textContent.startsWith('1-1 of')`);
    assert.match(await text('#finding-list'), /app::Handler4321::OnRequest/);
    await type('no such thing');
    await browser.until(`${$('#finding-status')}.textContent === 'No finding matches.'`);
    await click('#clear-filter');
    await browser.until(`${$('#finding-status')}.textContent.startsWith('1-20 of 10,000')`);
    await browser.evaluate(`(() => {
      const cause = ${$('select[aria-label="any cause"]')};
      cause.value = 'dns';
      cause.dispatchEvent(new Event('change'));
    })()`);
    assert.match(await text('#finding-status'), /^1-20 of 1,334 findings/);
    await click('#clear-filter');
  },

  async 'findings open with the keyboard'() {
    await browser.evaluate(`${$('#finding-list summary')}.focus()`);
    await browser.key('Enter');
    await browser.until(`${$('#finding-list details .body .stack')} !== null`);
    assert.match(await text('#finding-list details .remedy'), /Instead: /);
    await shoot('finding', '#findings');
  },

  async 'all graphs zoom together'() {
    const whole = await ranges();
    assert.equal(whole.length, 3);
    for (const chart of ['#delay-chart', '#load-chart', '#span-chart']) {
      const {left, width, y} = await centerOf(`${chart} .u-over`);
      await browser.drag([[left + width * 0.25, y], [left + width * 0.3, y], [left + width * 0.5, y]]);
      await browser.until(`loopsan.timeRanges().every(([min, max]) => max - min < ${(whole[0][1] - whole[0][0]) * 0.4})`);
      const zoomed = await ranges();
      for (const range of zoomed) assert.deepEqual(range, zoomed[0], chart);
      assert.ok(Math.abs(zoomed[0][0] - whole[0][1] * 0.25) < whole[0][1] * 0.02, `${chart}: ${zoomed[0]}`);
      await click('#zoom-all');
      await browser.until(`loopsan.timeRanges().every(([min, max]) => max === ${whole[0][1]})`);
    }
    await browser.evaluate(`${$('#charts')}.focus()`);
    await browser.key('+', 'Equal');
    await browser.until(`loopsan.timeRanges().every(([min, max]) => max - min < ${whole[0][1] * 0.51})`);
    await browser.key('0', 'Digit0');
    await browser.until(`loopsan.timeRanges().every(([min, max]) => max === ${whole[0][1]})`);
  },

  async 'what took long leads to its finding'() {
    // The longest blocking call that the page has of the loop it shows.
    await centerOf('#span-chart .u-over');
    const at = await browser.evaluate(`(() => {
      const report = JSON.parse(${$('#report')}.textContent);
      const loop = report.loops.sort((a, b) => b.longest - a.longest)[0];
      const span = loop.spans.filter(([kind]) => kind === 'blocking-call').sort((a, b) => b[2] - a[2])[0];
      const {left, width, top} = ${$('#span-chart .u-over')}.getBoundingClientRect();
      const [min, max] = loopsan.timeRanges()[2];
      return {x: left + width * (span[1] + span[2] / 2 - min) / (max - min), y: top + 2.5 * 18};
    })()`);
    await browser.click(at.x, at.y);
    await browser.until(`document.activeElement?.parentElement?.classList.contains('finding')`);
    assert.ok(await browser.evaluate('document.activeElement.parentElement.open'));
    await click('#clear-filter');
  },

  async 'the flame graph answers clicks and keys'() {
    const frames = await count('#flame-chart g.frame');
    assert.ok(frames > 20, `${frames} frames`);
    await browser.evaluate(`[...document.querySelectorAll('#flame-chart g.frame')]
      .find((frame) => frame.getAttribute('name').startsWith('app::Session3')).dispatchEvent(
        new MouseEvent('click', {bubbles: true}))`);
    await browser.until(`${$('#flame-details')}.textContent.startsWith('app::Session3::Read()')`);
    await shoot('flame', '#flame');
    assert.equal(await browser.evaluate(`${$('#flame-to-search')}.hidden`), false);
    await click('#flame-to-search');
    await browser.until(`${$('#finding-status')}.textContent.includes('of 500 findings')`);
    await click('#clear-filter');
    await browser.evaluate(`[...document.querySelectorAll('#flame-chart g.frame')].at(-1).focus()`);
    await browser.key('Enter');
    await browser.until(`${$('#flame-to-finding')}.hidden === false`);
    await click('#flame-to-finding');
    await browser.until(`document.activeElement?.parentElement?.classList.contains('finding')`);
    await click('#flame-reset');
  },

  async 'dark and light'() {
    const back = () => browser.evaluate(`getComputedStyle(document.body).backgroundColor`);
    await browser.prefer('light');
    const light = await back();
    await browser.prefer('dark');
    const dark = await back();
    assert.notEqual(light, dark);
    await shoot('dark');
    await shoot('dark-timeline', '#timeline');
    await shoot('dark-flame', '#flame');
    await click('#theme');
    assert.equal(await back(), light);
    await click('#theme');
    assert.equal(await back(), dark);
    await browser.prefer('light');
    isQuiet(big);
  },

  async 'a phone shows all without scrolling sideways'() {
    await browser.evaluate(`localStorage.clear()`);
    await browser.size(390, 844, true);
    for (const page of [big, sample]) {
      await browser.open(page);
      await browser.evaluate(`document.querySelectorAll('.finding').forEach((one, i) => { one.open = i < 4; })`);
      assert.ok(await browser.evaluate(`document.documentElement.scrollWidth <= 390`), page);
      for (const part of ['body', '#findings', '#timeline', '#flame']) {
        await shoot(`phone-${page === big ? 'big' : 'sample'}-${part.replace('#', '')}`, part);
      }
      isQuiet(page);
    }
  },
};

await runChecks(browser, checks);
