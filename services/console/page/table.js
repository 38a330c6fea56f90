// A table that keeps its rows while their content changes.
import { h, keyed, setText, show } from './dom.js';

// Columns are {title, text(item)} or {title, make(item)}, where make returns a node, with update(item) if it changes.
// numeric and end align a column at its end; on narrow screens wide gives it a line of its own, and half most of a line.
// A column without a title has actions.
export function table({ caption, columns, key, empty }) {
  const rows = h('tbody', { role: 'rowgroup' });
  const head = h('tr', { role: 'row' }, columns.map((c) => h('th', { role: 'columnheader', scope: 'col', class: c.numeric && 'numeric' }, c.title ?? h('span', { class: 'hidden' }, 'Actions'))));
  const grid = h('table', { role: 'table' }, h('caption', { class: 'hidden' }, caption), h('thead', { role: 'rowgroup' }, head), rows);
  const nothing = h('p', { class: 'empty', hidden: true }, empty);
  const create = (item) => {
    const updates = [];
    const cells = columns.map((column) => {
      const cell = h('td', { role: 'cell', class: ['numeric', 'wide', 'half', 'end'].filter((name) => column[name]).join(' ') || null, 'data-title': column.title });
      if (column.text) updates.push((next) => setText(cell, column.text(next)));
      else {
        const content = column.make(item);
        cell.append(content ?? '');
        if (content?.update) updates.push(content.update);
      }
      return cell;
    });
    return { node: h('tr', { role: 'row' }, cells), update: (next) => updates.forEach((change) => change(next)) };
  };
  return {
    node: h('div', { class: 'table' }, grid, nothing),
    update(items) {
      show(grid, items.length > 0);
      show(nothing, items.length === 0);
      keyed(rows, items, key, create);
    },
  };
}

// Returns a node with a function that changes it.
export const changing = (node, update) => Object.assign(node, { update });
