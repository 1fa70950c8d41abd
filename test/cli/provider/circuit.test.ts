import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { TestStack } from '../connect/harness.ts';
import { run } from './harness.ts';

let db: TestDatabase;
let stack: TestStack;
beforeAll(async () => {
  db = await testDatabase();
  stack = await TestStack.start(db, null);
});
beforeEach(() => db.clear());
afterAll(async () => {
  await stack.stop();
  await db.end();
});

const isOpen = async () =>
  (await db.sql<{ circuit_open: boolean }>('SELECT circuit_open FROM evergrant.provider_states'))[0]
    ?.circuit_open ?? false;

/** What the guards would have written. */
const outage = () =>
  db.sql(`INSERT INTO evergrant.provider_states (provider, circuit_open, circuit_cause, circuit_code, circuit_failing,
      circuit_opened_at, circuit_probe_at, disconnections_held_since, disconnections_held_until, disconnections_failing)
    VALUES ('hubspot', true, 'outage', 'http_503', 34, now() - interval '12 minutes', now() + interval '90 seconds',
      now() - interval '2 hours', now() + interval '10 hours', 41)`);

describe('provider open', () => {
  it('asks, says what it does, and does it', async () => {
    for (let count = 0; count < 3; count += 1) await db.insertIntegration({ provider: 'hubspot' });
    const declined = await run(stack, ['open', 'hubspot'], { answers: [], agrees: false });
    expect(declined).toMatchObject({ exitCode: 1, stdout: 'Nothing was changed.' });
    expect(declined.questions[0]?.question).toBe(
      'Stop calling hubspot until evergrant provider close hubspot? Its 3 connected integrations would wait, and their tokens expire.',
    );
    expect(await isOpen()).toBe(false);
    const nobody = await run(stack, ['open', 'hubspot']);
    expect(nobody).toMatchObject({ exitCode: 2, error: expect.stringMatching(/^usage: /) });

    const opened = await run(stack, ['open', 'hubspot', '--yes']);
    expect(opened.exitCode).toBe(0);
    expect(opened.stdout).toMatch(/^Before: its circuit was closed\.\nNow: {4}nobody calls hubspot\.\n/);
    expect(opened.stdout).toContain('evergrant provider close hubspot');
    expect(await isOpen()).toBe(true);
    const again = await run(stack, ['open', 'hubspot', '--yes']);
    expect(again.stdout).toMatch(
      /^hubspot: circuit open for \d+ s, by hand already\. Nothing was changed\.$/,
    );
  });

  it('takes over from an outage', async () => {
    await outage();
    const { document } = await run(stack, ['open', 'hubspot', '--yes', '--json']);
    expect(document).toMatchObject({
      provider: 'hubspot',
      changed: true,
      before: { circuit: { cause: 'outage', code: 'http_503' } },
      after: { circuit: { cause: 'by_hand', nextTryAt: null } },
    });
  });

  it('of a name that nobody knows says what may have been meant', async () => {
    const asked = await run(stack, ['open', 'hubspt'], { answers: [], agrees: false });
    expect(asked.questions[0]?.question).toMatch(
      /^There is no integration of hubspt, and the catalogue does not know it\. Did you mean hubspot\? Stop calling hubspt /,
    );
    const forced = await run(stack, ['open', 'hubspt', '--yes']);
    expect(forced).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('Did you mean hubspot?') });
    expect((await run(stack, ['open', 'a/b'])).error).toMatch(/^usage: "a\/b" is no provider/);
  });
});

describe('provider close', () => {
  it('ends whatever holds integrations back', async () => {
    await outage();
    await db.insertIntegration({ provider: 'hubspot', expiresIn: 60 });
    const closed = await run(stack, ['close', 'hubspot'], { answers: [] });
    expect(closed.exitCode).toBe(0);
    expect(closed.stderr).toContain(
      'hubspot: circuit open for 12 min: an outage; 34 integrations failed, most with http_503; disconnections held for 2 h, as 41 grants were refused within minutes; they go on in 10 h.',
    );
    expect(closed.questions[0]?.question).toBe('Call hubspot again?');
    expect(closed.stdout).toMatch(
      /\nNow: {4}hubspot is called again; neither guard acts before \S+ \S+Z\.\n/,
    );
    expect(closed.stdout).toContain('refreshes what is due: 1 integration is due.');
    expect(closed.stdout).toContain('evergrant scan --provider hubspot');
    expect(closed.stdout).toContain('disconnected and told');
    expect(await isOpen()).toBe(false);
  });

  it('lets held disconnections happen where the circuit was closed', async () => {
    await outage();
    await db.sql('UPDATE evergrant.provider_states SET circuit_open = false');
    const closed = await run(stack, ['close', 'hubspot'], { answers: [] });
    expect(closed.questions[0]?.question).toBe('Let the disconnections of hubspot happen?');
    expect(closed.stdout).toMatch(/\nNow: {4}its disconnections happen again; neither guard acts before /);
  });

  it('of a provider that nothing holds back changes nothing', async () => {
    const { exitCode, stdout } = await run(stack, ['close', 'hubspot', '--yes']);
    expect(exitCode).toBe(0);
    expect(stdout).toBe(
      'Its circuit is closed, and none of its disconnections is held. Nothing was changed.',
    );
    expect(await db.sql('SELECT FROM evergrant.provider_states')).toEqual([]);
    const unknown = await run(stack, ['close', 'hubspt', '--yes']);
    expect(unknown.stdout).toContain('Did you mean hubspot?');
  });
});
