// Says what happened: to screen readers by a polite live region, to everybody else by a short message.
import { setText, show } from './dom.js';

let timer = 0;

export function announce(text, visible = true) {
  setText(document.getElementById('news'), text);
  if (!visible) return;
  const toast = document.getElementById('toast');
  setText(toast, text);
  show(toast, true);
  clearTimeout(timer);
  timer = setTimeout(() => show(toast, false), 6000);
}
