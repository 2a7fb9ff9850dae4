// The report, as html_reporter.cc wrote it into the page.

const report = JSON.parse(document.getElementById('report').textContent);

const FRAME_FIELDS = ['function', 'name', 'file', 'line', 'module', 'offset', 'inlined', 'library',
                      'startsThread'];
const TEXT_FIELDS = new Set(['function', 'name', 'file', 'module', 'library']);

export function frameAt(index) {
  const row = report.frames[index];
  const frame = {fileIndex: row[2]};
  FRAME_FIELDS.forEach((field, i) => {
    frame[field] = TEXT_FIELDS.has(field) ? report.strings[row[i]] : row[i];
  });
  return frame;
}

export function placeOf([name, file, line]) {
  return {name: report.strings[name], file: report.strings[file], fileIndex: file, line, module: ''};
}

export function excerptOf(frame) {
  return report.excerpts[`${frame.fileIndex}:${frame.line}`];
}

export function frameName(frame) {
  if (frame.name) return frame.name;
  const module = baseName(frame.module);
  if (module) return `(${module}+${frame.offset})`;
  return frame.offset ? `(${frame.offset})` : '(no name)';
}

export function baseName(path) {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function lineText(place) {
  return place.file ? place.file + (place.line > 0 ? `:${place.line}` : '') : '';
}

// Why it took long, in a word: what the graphs and the filter group by.
export function causeOf(finding) {
  return finding.category || finding.cause || finding.rule;
}

// Deadlocks and the like take no time from a loop, notes need no fix.
export function lostSeconds(finding) {
  return finding.level === 'note' || !(finding.call || finding.cause) ? 0 : finding.total;
}

export default report;
