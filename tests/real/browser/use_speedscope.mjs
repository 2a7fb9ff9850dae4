// Opens profiles in speedscope as a person does: by its file dialog. Prints what is
// wrong; exits with 1 then.
//
//   node use_speedscope.mjs CHROMIUM DIRECTORY    with what speedscope_test.cc has written
import assert from 'node:assert/strict';
import {join, resolve} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';

import {Browser, runChecks} from './chromium.mjs';

const [, , executable, directory] = process.argv;
const here = fileURLToPath(new URL('.', import.meta.url));
const page = pathToFileURL(join(here, 'speedscope', 'index.html')).href;
const browser = await Browser.start(executable);

// The table of all frames: what was spent in each and below, what in itself, its name.
const rows = () => browser.evaluate(`[...document.querySelectorAll('table tr')]
  .map((row) => [...row.querySelectorAll('td')].map((cell) => cell.innerText.trim()))
  .filter((cells) => cells.length === 3)
  .map(([total, self, name]) => ({total: total.replace(/ .*/, ''), name}))`);

async function framesOf(file, importer, title) {
  await browser.open('about:blank', 'true');
  await browser.open(page, `document.querySelector('input[type=file]') !== null`);
  const {result} = await browser.send('Runtime.evaluate', {expression: `document.querySelector('input[type=file]')`});
  await browser.send('DOM.setFileInputFiles', {files: [resolve(directory, file)], objectId: result.objectId});
  await browser.until(`document.body.innerText.includes(${JSON.stringify(title)})`);
  const said = browser.events.filter(({method}) => method === 'Runtime.consoleAPICalled')
    .map(({params}) => params.args[0].value);
  assert.ok(said.includes(`Importing as ${importer}`), said);
  assert.deepEqual(browser.events.filter(({method}) => method === 'Runtime.exceptionThrown'), []);
  await browser.key('3', 'Digit3');  // "Sandwich"
  await browser.until(`document.querySelectorAll('table td').length >= 3`);
  return new Map((await rows()).map(({name, total}) => [name, total]));
}

const checks = {
  async 'its own format'() {
    const frames = await framesOf('report.speedscope.json', 'speedscope json file', 'time lost by server');
    assert.equal(frames.get('app::Server::Handle(std::string const&)'), '500.00ms');
    assert.equal(frames.get('[co_await] app::Serve(Socket)'), '200.00ms');
    assert.equal(frames.get('clock_nanosleep'), '500.00ms');
  },

  async 'folded stacks'() {
    const frames = await framesOf('report.folded', 'collapsed stack format', 'report.folded');
    assert.equal(frames.get('server'), '500,000');
    assert.equal(frames.get('app::Server::Handle(std::string const&)'), '500,000');
    assert.equal(frames.get('[co_await] app::Serve(Socket)'), '200,000');
    assert.equal(frames.get('clock_nanosleep'), '500,000');
  },

  async 'the trace'() {
    const frames = await framesOf('report.trace.json', 'Trace Event Format profile', 'loop io "main" (tid 4712)');
    assert.equal(frames.get('turn'), '310.00ms');
    assert.equal(frames.get('wait'), '50.00ms');
    const call = [...frames.keys()].find((name) => name.startsWith('nanosleep '));
    assert.equal(frames.get(call), '300.00ms');
    assert.match(call, /"finding":"F1"/);
  },
};

await runChecks(browser, checks);
