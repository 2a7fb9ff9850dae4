// Uses the status page as a person does, with a server that answers from files. Prints
// what is wrong; exits with 1 then.
//
//   node use_status_page.mjs CHROMIUM DIRECTORY [SCREENSHOT_DIRECTORY]
//
// DIRECTORY has page.html, and what status.json is: sample, quiet, stalled, late, empty.
import assert from 'node:assert/strict';
import {readFileSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:http';
import {join} from 'node:path';

import {Browser, runChecks} from './chromium.mjs';

const [, , executable, directory, screenshots] = process.argv;
const read = (name) => readFileSync(join(directory, name));
const page = read('page.html');

// What the server says now: a file, or a status code.
let answer = 'quiet.json';
let asked = 0;
const server = createServer((request, response) => {
  if (request.url === '/') {
    response.writeHead(200, {'Content-Type': 'text/html; charset=utf-8'}).end(page);
  } else if (request.url === '/status.json') {
    ++asked;
    if (typeof answer === 'number') {
      response.writeHead(answer).end();
    } else {
      response.writeHead(200, {'Content-Type': 'application/json'}).end(read(answer));
    }
  } else {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${server.address().port}/`;
const browser = await Browser.start(executable);

const $ = (selector) => `document.querySelector(${JSON.stringify(selector)})`;
const text = (selector) => browser.evaluate(`${$(selector)}.textContent`);
const count = (selector) => browser.evaluate(`document.querySelectorAll(${JSON.stringify(selector)}).length`);

async function shoot(name, selector = 'body') {
  if (!screenshots) return;
  await browser.evaluate(`${$(selector)}.scrollIntoView({block: 'start'})`);
  writeFileSync(join(screenshots, `status-${name}.png`), await browser.screenshot());
}

async function openWith(name) {
  answer = name;
  await browser.open(url);
}

function isQuiet() {
  assert.deepEqual(browser.complaints(), []);
  const expected = [url, `${url}status.json`];
  assert.deepEqual(browser.requests().filter((one) => !expected.includes(one) && !one.startsWith('data:')), []);
}

const checks = {
  async 'the verdict comes first'() {
    await browser.size(1280, 900);
    await openWith('quiet.json');
    assert.equal(await text('h1'), 'loopsan: 3 loops, the busiest, io-0 of shop-server, is 45 % busy; ' +
                                   'nothing is stalled right now');
    assert.equal(await browser.evaluate('document.title'), await text('h1'));
    assert.match(await text('#run'), /^\/usr\/bin\/shop-server --port=8080 has run for 62\.5 s; .*blocked for 9\.00 s/);
    assert.equal(await text('#stalls .empty'), 'No loop is stalled.');
    isQuiet();
  },

  async 'loops and sites are all there'() {
    assert.equal(await count('#loops tbody tr'), 3);
    assert.equal(await text('#loops th:nth-child(2)'), 'Utilisation, last 6 s');
    assert.match(await text('#loops tbody tr'), /^io-0 of shop-serverepoll, process 4100, thread 4101/);
    assert.match(await browser.evaluate(`${$('#loops .spark')}.getAttribute('aria-label')`),
                 /^utilisation of the last 6\.00 s: 20 % to 70 %$/);
    assert.equal(await browser.evaluate(`${$('#loops .spark .line')}.getAttribute('d').split('L').length`), 60);
    assert.equal(await count('#sites .site'), 3);
    assert.equal(await text('#sites .place'), '/src/shop/payments.cc:218');
    assert.equal(await text('#sites .remedy'), 'await a timer of the loop instead of sleeping in it');
    assert.equal(await text('#sites .cost'), '6.20 s12 times, 2.07 s at worst');
    await shoot('light');
  },

  async 'it refreshes itself, and keeps what is selected'() {
    await browser.evaluate(`getSelection().selectAllChildren(${$('#sites .place')})`);
    answer = 'stalled.json';
    await browser.until(`${$('h1')}.textContent.includes('has been stalled for 1.40 s')`);
    assert.equal(await text('h1'), 'loopsan: io-0 of shop-server has been stalled for 1.40 s; 3 loops, the busiest, ' +
                                   'io-0 of shop-server, is 58 % busy');
    assert.equal(await browser.evaluate('String(getSelection())'), '/src/shop/payments.cc:218');
    assert.equal(await count('#stalls .site'), 1);
    assert.equal(await text('#stalls .place'), '/src/shop/payments.cc:218');
    assert.equal(await text('tr.stalled .state'), 'stalled for 1.40 s');
    await browser.evaluate('getSelection().removeAllRanges()');
    await shoot('stalled-light');
    answer = 'quiet.json';
    await browser.until(`${$('h1')}.textContent.includes('nothing is stalled')`);
    assert.equal(await count('#stalls .site'), 0);
    assert.equal(await count('tr.stalled'), 0);
    isQuiet();
  },

  async 'hostile text is text'() {
    await openWith('sample.json');
    assert.match(await text('#run'), /<\/script>/);
    assert.match(await text('#sites'), /\\x1b\[31mred/);
    assert.match(await text('#sites'), /work"<\/script>|uv_run|\\n/);
    assert.equal(await count('script'), 1);
    assert.equal(await count('img, iframe, object, embed, link[rel=stylesheet]'), 0);
    await shoot('hostile');
    await shoot('hostile-sites', '#sites');
    isQuiet();
  },

  async 'a loop that is late for no known reason is no clean bill, either'() {
    await openWith('late.json');
    assert.match(await text('h1'), /^loopsan: io-0 of shop-server has not come back to its wait for 1\.40 s; 3 loops, /);
    assert.equal(await text('tr.late .state'), 'has not come back to its wait for 1.40 s');
    assert.match(await text('#stalls .empty'), /^What holds a loop up is not known yet/);
    await shoot('late');
    isQuiet();
  },

  async 'a run without a loop is no clean bill'() {
    await openWith('empty.json');
    assert.equal(await text('h1'), 'loopsan: no event loop seen yet');
    assert.match(await text('#loops .empty'), /^A loop is seen when/);
    await shoot('empty');
    isQuiet();
  },

  async 'everything can be reached with the keyboard'() {
    await openWith('quiet.json');
    const reached = [];
    for (let i = 0; i < 2; ++i) {
      await browser.key('Tab');
      reached.push(await browser.evaluate('document.activeElement.href'));
    }
    assert.deepEqual(reached, [`${url}metrics`, `${url}report.json`]);
  },

  async 'dark and light'() {
    const back = () => browser.evaluate('getComputedStyle(document.body).backgroundColor');
    await browser.prefer('light');
    const light = await back();
    await browser.prefer('dark');
    assert.notEqual(await back(), light);
    await openWith('stalled.json');
    await shoot('stalled-dark');
    await browser.prefer('light');
  },

  async 'a phone shows all without scrolling sideways'() {
    await browser.size(390, 844, true);
    for (const name of ['sample.json', 'stalled.json', 'empty.json']) {
      await openWith(name);
      assert.ok(await browser.evaluate('document.documentElement.scrollWidth <= 390'), name);
      await shoot(`phone-${name.replace('.json', '')}`);
      await shoot(`phone-${name.replace('.json', '')}-loops`, '#loops');
      isQuiet();
    }
    await browser.size(1280, 900);
  },

  async 'an error is no answer'() {
    await openWith('quiet.json');
    answer = 503;
    await browser.until(`${$('h1')}.textContent.startsWith('loopsan: no answer since ')`);
    answer = 'quiet.json';
    await browser.until(`${$('h1')}.textContent.startsWith('loopsan: 3 loops')`);
    assert.equal(await text('#connection'), 'Live: asked again every 2 s.');
  },

  async 'a hidden page asks for nothing'() {
    await openWith('quiet.json');
    await browser.evaluate(`Object.defineProperty(document, 'hidden', {value: true, configurable: true})`);
    await new Promise((resolve) => setTimeout(resolve, 2500));  // what is on its way comes
    const before = asked;
    await new Promise((resolve) => setTimeout(resolve, 2500));
    assert.equal(asked, before);
    await browser.evaluate(`delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))`);
    for (const end = performance.now() + 10_000; asked === before && performance.now() < end;) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(asked, before + 1);
  },

  async 'it says when the run has ended'() {
    await openWith('quiet.json');
    server.close();
    server.closeAllConnections();
    await browser.until(`${$('#connection')}.classList.contains('lost')`);
    assert.match(await text('#connection'),
                 /^No answer since \d\d:\d\d:\d\d: the run has ended, or cannot be reached\. This is what was so then\.$/);
    assert.match(await text('h1'), /^loopsan: no answer since \d\d:\d\d:\d\d$/);
    assert.equal(await count('#sites .site'), 3);
    await shoot('lost');
  },
};

await runChecks(browser, checks);
