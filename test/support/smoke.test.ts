import { expect, it } from 'vitest';
import { testDatabase } from './database.ts';
it('x', async () => { const d = await testDatabase(); console.log(await d.insertIntegration()); await d.clear(); await d.end(); expect(1).toBe(1); });
