// Elements, always with text and never with HTML: what a report says is not trusted.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) {
      made.addEventListener(key.slice(2), value);
    } else if (value === true) {
      made.setAttribute(key, '');
    } else if (value !== false && value !== undefined && value !== null) {
      made.setAttribute(key, value);
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
  return made;
}

export function button(label, action, attributes = {}) {
  return element('button', {type: 'button', onclick: action, ...attributes}, label);
}

export function cssColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function prefersLessMotion() {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}

// Three digits, as in the text report: "0.300 s", "12.3 ms", "45.0 us".
export function formatSeconds(seconds) {
  if (!(seconds > 0)) return '0 s';
  if (seconds >= 100) return `${Math.round(seconds).toLocaleString('en')} s`;
  for (const [unit, factor] of [['s', 1], ['ms', 1e3], ['us', 1e6]]) {
    const value = seconds * factor;
    if (value >= 0.0995 && (unit === 's' || value >= 0.9995)) {
      return `${value >= 100 ? Math.round(value) : value.toPrecision(3)} ${unit}`;
    }
  }
  return `${Math.max(1, Math.round(seconds * 1e9))} ns`;
}

export function formatCount(count, one, many = `${one}s`) {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}
