import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ProductServer, startProductServer } from '../../../local/product/server.ts';
import { ProductStore } from '../../../local/product/store.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

let db: TestDatabase;
let store: ProductStore;
let product: ProductServer;
beforeAll(async () => {
  db = await testDatabase();
  store = new ProductStore(db.url);
  await store.createUsers();
  product = await startProductServer(undefined);
  product.open(store, []);
});
afterAll(async () => {
  await product.stop();
  await store.end();
  await db.end();
});

test.each([
  '/reconnect?integration=------------------------------------',
  '/reconnect?integration=00000000-0000-0000-0000-000000000000',
  '/nowhere',
  '//',
])('there is no page at %s', async (path) => {
  expect((await fetch(product.origin + path)).status).toBe(404);
});
