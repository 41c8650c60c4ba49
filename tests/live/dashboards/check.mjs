// Holds dashboards, named on the command line, against Grafana's own types: the compiler refuses members that these do
// not have, and values that they do not allow. Says what is wrong and ends with 1.
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const here = dirname(fileURLToPath(import.meta.url));
let wrong = false;
for (const path of process.argv.slice(2)) {
  const file = join(here, `${basename(path, '.json')}.checked.ts`);
  const text = readFileSync(path, 'utf8');
  writeFileSync(file, `import type { DashboardFile } from './schema.d.ts';\nexport const dashboard: DashboardFile = ${text};\n`);
  const program = ts.createProgram([file], {
    allowImportingTsExtensions: true,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    noEmit: true,
    skipLibCheck: true,
    strict: true,
    target: ts.ScriptTarget.ESNext,
    types: [],
  });
  for (const diagnostic of ts.getPreEmitDiagnostics(program)) {
    wrong = true;
    const place = diagnostic.file?.getLineAndCharacterOfPosition(diagnostic.start ?? 0);
    // The dashboard begins on the second line of the file that was made of it.
    console.error(`${basename(path)}:${place?.line}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ')}`);
  }
}
process.exit(wrong ? 1 : 0);
