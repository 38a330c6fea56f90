// Shows the view of the address's hash: #/orders/ID?q=TEXT.
import { h } from './dom.js';

const routes = []; // {pattern, name, title, view}
let current = null; // {route, path, view}

// A view is a function of ({params, query}) that returns {node, change({params, query}), leave()}. change is called
// when only the query changes.
export function route(pattern, name, view) {
  routes.push({ pattern: new RegExp(`^${pattern.replace(/:id/, '([^/]+)')}$`), name, view });
}

function parse() {
  const [path, query = ''] = (location.hash.slice(1) || '/').split('?');
  for (const r of routes) {
    const match = r.pattern.exec(path);
    if (match) return { route: r, path, params: match.slice(1).map(decode), query: Object.fromEntries(new URLSearchParams(query)) };
  }
  return { path, query: {} };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Shows the view. It gets the focus, so that keyboard and screen reader follow, unless the page has just been opened.
function go(moved) {
  const target = parse();
  if (current && current.path === target.path && current.view?.change) return current.view.change(target);
  leave();
  const main = document.getElementById('main');
  const view = target.route ? target.route.view(target) : missing();
  current = { ...target, view };
  main.replaceChildren(view.node);
  document.title = `${main.querySelector('h1')?.textContent ?? ''} · orderflow`;
  for (const link of document.querySelectorAll('nav a[data-view]')) {
    if (link.dataset.view === target.route?.name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  if (moved) {
    window.scrollTo(0, 0);
    const heading = main.querySelector('h1');
    heading?.setAttribute('tabindex', '-1');
    heading?.focus({ preventScroll: true });
  }
}

const missing = () => ({ node: h('div', { class: 'page' }, h('h1', null, 'No such page'), h('p', null, 'The address has an unknown path. ', h('a', { href: '#/' }, 'Go to the overview'))) });

// Starts with the view of the address. moved: the reader comes from the login.
export function start(moved) {
  window.addEventListener('hashchange', go);
  go(moved);
}

// Ends the view that is shown.
export function leave() {
  current?.view?.leave?.();
  current = null;
}

export function stop() {
  window.removeEventListener('hashchange', go);
  leave();
}

// Returns the address of a view.
export function address(path, query = {}) {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return `#${path}${text ? `?${text}` : ''}`;
}
