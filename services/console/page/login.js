// The form that asks for a token.
import { h, setText, show } from './dom.js';
import { duration } from './format.js';
import { signIn } from './session.js';

export function loginForm(signedIn) {
  const fault = h('p', { class: 'fault', id: 'login-fault', role: 'alert', hidden: true });
  const token = h('input', { id: 'token', name: 'token', type: 'password', required: true, autocomplete: 'current-password', 'aria-describedby': 'login-fault' });
  const button = h('button', { class: 'primary', type: 'submit' }, 'Sign in');
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    show(fault, false);
    try {
      await signIn(token.value.trim());
      token.value = '';
      signedIn();
    } catch (problem) {
      setText(fault, messages[problem.status] ?? problem.message);
      show(fault, true);
      token.select();
      token.focus();
    } finally {
      button.disabled = false;
    }
  };
  const node = h('form', { class: 'login panel', submit },
    h('h1', null, 'Sign in to orderflow'),
    h('p', { class: 'quiet' }, 'Your token says who you are and what you may do. A viewer looks, an operator also acts.'),
    h('label', { for: 'token' }, 'Token'), token, fault, button,
    h('p', { class: 'quiet small-text' }, 'No token yet? Whoever runs orderflow makes one: ', h('code', null, 'orderflow token new NAME --role operator')));
  return { node, focus: () => token.focus() };
}

const messages = {
  401: 'This token is not known. Check it, and try again.',
  429: `There were too many wrong tokens. Wait ${duration(60)}, and try again.`,
};
