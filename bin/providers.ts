import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { catalogue } from '../lambdas/providers/catalogue.ts';
import { renderPage } from './providers/page.ts';

await writeFile(path.join(import.meta.dirname, '..', 'docs', 'providers.md'), renderPage(catalogue));
process.stdout.write('docs/providers.md is written.\n');
