// Prints each finding of AsyncAPI's own parser, and fails after errors and warnings.
import { readFile } from 'node:fs/promises';
import { Parser } from '@asyncapi/parser';

const severities = ['error', 'warning'];
let faults = 0;
for (const path of process.argv.slice(2)) {
  const { diagnostics } = await new Parser().parse(await readFile(path, 'utf8'), { source: path });
  for (const d of diagnostics.filter((d) => d.severity < severities.length)) {
    console.log(`${path}:${d.range.start.line + 1}: ${severities[d.severity]}: ${d.message} (${d.path.join('.')})`);
    faults++;
  }
}
process.exit(faults > 0 ? 1 : 0);
