// Orders: the search, and the form that places one.
import { h, setText, show } from './dom.js';
import { number } from './format.js';
import { live, watch } from './live.js';
import { paged } from './pages.js';
import { placeForm } from './place.js';
import { address } from './router.js';
import { table } from './table.js';
import { at } from './when.js';
import { command, commands, curl } from './commands.js';

export function ordersView({ query }) {
  const text = h('input', { id: 'search', name: 'q', type: 'search', autocomplete: 'off', spellcheck: 'false', maxlength: 256, placeholder: 'An order, an event or a user' });
  const submit = (event) => {
    event.preventDefault();
    location.hash = address('/orders', { q: text.value.trim() });
  };
  const grid = table({
    caption: 'Orders that were found',
    empty: 'No order, event or user has this id.',
    key: (o) => o.order_id,
    columns: [
      { title: 'Order', wide: true, make: (o) => h('a', { class: 'id', href: `#/orders/${o.order_id}` }, o.order_id) },
      { title: 'Product', text: (o) => o.product ?? '–' },
      { title: 'Quantity', numeric: true, text: (o) => (o.quantity ? number(o.quantity) : '–') },
      { title: 'Placed', make: (o) => at(o.created_at) },
    ],
  });
  const title = h('h2');
  let sought = ''; // by the list; the reader may be typing another text
  const list = paged(grid, '/console/search', (answer) => {
    if (answer.kind === 'order' || answer.kind === 'event') location.replace(`#/orders/${answer.orders[0].order_id}`);
    setText(title, answer.kind === 'user' ? `Orders of the user ${sought}` : 'Nothing is found');
    return answer.orders;
  });
  const forget = h('div');
  const results = h('section', { class: 'panel', hidden: true }, title, list.node, forget);
  const hint = h('section', { class: 'panel hint' }, h('h2', null, 'Follow an order'), h('p', null, 'Give its id, the id of its event, or a user’s id. You see when it was placed, each attempt to notify somebody of it, and what the receiver answered.'));
  const place = h('div');
  const node = h('div', { class: 'page' }, h('div', { class: 'page-head' }, h('h1', null, 'Orders')),
    h('form', { class: 'search', role: 'search', submit }, h('label', { class: 'hidden', for: 'search' }, 'Search for an order, an event or a user'), text, h('button', { class: 'primary', type: 'submit' }, 'Search')),
    h('div', { class: 'columns' }, h('div', { class: 'main-column' }, results, hint), h('div', { class: 'side-column' }, place)));

  function change({ query: { q = '' } }) {
    text.value = q;
    show(results, q !== '');
    show(hint, q === '');
    if (q === '') return;
    sought = q;
    setText(title, 'Searching');
    forget.replaceChildren(commands('Forget this user, as a command', () => [
      { label: 'Request', text: curl('POST', `/users/${encodeURIComponent(q)}/forget`) }, { label: 'Command', text: command('forget', q) }]));
    list.show({ q, limit: 50 });
  }
  change({ query });
  const unwatch = watch(() => live.state?.can_order && !place.firstChild && place.append(placeForm()));
  return {
    node,
    change,
    leave() {
      unwatch();
      list.leave();
    },
  };
}
