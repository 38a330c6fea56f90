// The form that places an order, and then follows it.
import { post } from './api.js';
import { announce } from './announce.js';
import { commands, curl } from './commands.js';
import { h, setText, show } from './dom.js';
import { mayAct } from './session.js';

export function placeForm() {
  if (!mayAct()) return h('section', { class: 'panel' }, h('h2', null, 'Place an order'), h('p', { class: 'quiet' }, 'Only operators place orders here.'));
  const field = (name, value, attributes) => h('input', { id: `place-${name}`, name, value, required: true, autocomplete: 'off', ...attributes });
  const user = field('user_id', '123', { maxlength: 128 });
  const product = field('product', 'Laptop', { maxlength: 256 });
  const quantity = field('quantity', '1', { type: 'number', min: 1, max: 1_000_000, inputmode: 'numeric' });
  const fault = h('p', { class: 'fault', role: 'alert', hidden: true });
  const button = h('button', { class: 'primary', type: 'submit' }, 'Place the order');
  const body = () => ({ user_id: user.value, product: product.value, quantity: Number(quantity.value) });
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    show(fault, false);
    try {
      const order = await post('/console/orders', body());
      announce(`Order ${order.id} is placed.`, false);
      location.hash = `#/orders/${order.id}`;
    } catch (problem) {
      setText(fault, problem.fields.length > 0 ? problem.fields.map((f) => `${f.field} ${f.detail}.`).join(' ') : problem.message);
      show(fault, true);
    } finally {
      button.disabled = false;
    }
  };
  const labelled = (input, label) => h('div', { class: 'field' }, h('label', { for: input.id }, label), input);
  return h('section', { class: 'panel place', 'aria-labelledby': 'place-title' },
    h('h2', { id: 'place-title' }, 'Place an order'),
    h('form', { submit }, labelled(user, 'User'), labelled(product, 'Product'), labelled(quantity, 'Quantity'), fault, button),
    h('p', { class: 'quiet small-text' }, 'You see it go through, channel by channel.'),
    commands('As a command', () => [{ label: 'Request', text: curl('POST', '/console/orders', body()) }]));
}
