import { expect, test } from 'vitest';
import { render } from './output.ts';

const rows = [
  { name: 'page.bookshop', state: 'SYNCED' },
  { name: 'gateway', state: '' },
];
const columns = [
  { title: 'NAME', value: (r: { name: string }) => r.name },
  { title: 'STATE', value: (r: { state: string }) => r.state },
];

test('columns are as wide as their widest cell, and an empty cell can still be cut by field', () => {
  expect(render('table', rows, columns)).toBe('NAME           STATE\npage.bookshop  SYNCED\ngateway        -\n');
});

test('JSON and YAML hold the data itself', () => {
  expect(render('json', rows, columns)).toBe(`${JSON.stringify(rows, null, 2)}\n`);
  expect(render('yaml', rows, columns, { proxies: rows })).toBe(
    'proxies:\n  - name: page.bookshop\n    state: SYNCED\n  - name: gateway\n    state: ""\n',
  );
});
