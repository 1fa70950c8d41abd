import { setTimeout as sleep } from 'node:timers/promises';
import { CompactEncrypt } from 'jose';
import { checkAccessToken } from '../provider/connect.ts';
import { eventually } from './client.ts';
import type { Recorder } from './recorder.ts';
import type { Person, Snapshot, World } from './world.ts';

/** Longer than a scan and the batching window behind it take, with room for a slow machine. */
const severalScansMs = 4_000;

const forbidden = { answer: { status: 403, body: { error: 'access_denied' } } };

export async function schemaApplied({ client }: World, recorder: Recorder): Promise<void> {
  await recorder.check('schema-applied', async ({ note, require }) => {
    const columns = await client.sql<{ data_type: string }>(
      `SELECT data_type FROM information_schema.columns
       WHERE table_name = 'integrations' AND column_name = 'consecutive_transient_failures'`,
    );
    require(columns[0]?.data_type ===
      'integer', 'integrations.consecutive_transient_failures does not exist');
    note('integrations.consecutive_transient_failures: integer');
    const [constraint] = await client.sql<{ definition: string }>(
      `SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conname = 'notifications_type_check'`,
    );
    note(`notifications_type_check: ${constraint?.definition}`);
    const types = [
      'team_invitation',
      'workflow_shared',
      'execution_failed',
      'integration_disconnected',
      'system',
      'integration_warning',
      'integration_rate_limit',
    ];
    const named = [...(constraint?.definition ?? '').matchAll(/'([^']+)'::/g)].map(([, type]) => type);
    require(JSON.stringify(named.toSorted()) ===
      JSON.stringify(types.toSorted()), `it names ${named.join(', ')}`);
    for (const type of [...types, 'integration_nonsense']) {
      const admitted = await admits(client, type);
      require(admitted === types.includes(type), `${type} is ${admitted ? '' : 'not '}admitted`);
    }
    note('each of the seven types can be inserted, "integration_nonsense" cannot');
  });
}

async function admits(client: World['client'], type: string): Promise<boolean> {
  try {
    const [row] = await client.sql<{ id: string }>(
      `INSERT INTO notifications (user_id, type, title) VALUES (gen_random_uuid(), $1, 'probe') RETURNING id`,
      [type],
    );
    await client.sql('DELETE FROM notifications WHERE id = $1', [row?.id]);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === '23514') return false;
    throw error;
  }
}

export async function refreshing(world: World, recorder: Recorder): Promise<void> {
  const ada = await world.person('ada');
  await recorder.check('refreshed-before-expiry', async ({ note, require }) => {
    const before = await world.see(ada);
    await world.age(ada);
    const agedAtMs = performance.now();
    const after = await world.seen(ada, 'a refresh', (row) => row.last_refresh_success !== null);
    note(
      `expires in 300 s → replaced after ${((performance.now() - agedAtMs) / 1000).toFixed(1)} s, expires in ${after.expires_in_seconds} s`,
    );
    note(`last_refresh_success ${after.last_refresh_success?.toISOString()}`);
    require(Number(after.refresh_claim) ===
      Number(before.refresh_claim) + 1, `it took ${after.refresh_claim} claims`);
    note('claimed by one scan');
    require(after.expires_in_seconds > 600, 'the new token expires within ten minutes as well');
    const accessToken = await world.client.openToken(after.access_token);
    require(accessToken !== before.access_token, 'the access token is the old one');
    const usable = await checkAccessToken(ada.provider.provider.userinfoEndpoint, accessToken);
    require(usable.works &&
      usable.account === ada.email, `the provider answers ${usable.status} to the new access token`);
    note(`the provider takes the new access token: 200, account ${usable.account}`);
    require(after.refresh_token.split('.').length === 5, 'the refresh token is not sealed');
    note(`at rest: ${after.refresh_token.slice(0, 24)}… (JWE)`);
  });
  await recorder.check('rotation-stored', async ({ note, require }) => {
    for (let cycle = 2; cycle <= 4; cycle += 1) {
      const { last_refresh_success: last } = await world.see(ada);
      await world.age(ada);
      await world.seen(
        ada,
        `cycle ${cycle}`,
        (row) => row.last_refresh_success?.getTime() !== last?.getTime(),
      );
    }
    const calls = await world.calls(ada);
    for (const call of calls)
      note(`call ${call.sequence}: used ${call.refreshTokenFingerprint}, got ${call.rotatedTo}`);
    require(calls.length === 4, `the provider saw ${calls.length} calls instead of 4`);
    for (const [index, call] of calls.entries()) {
      require(!call.reuse && call.status === 200, `call ${call.sequence} was refused`);
      const earlier = calls[index - 1];
      require(!earlier ||
        earlier.rotatedTo === call.refreshTokenFingerprint, `call ${call.sequence} used an old token`);
    }
    note('the provider saw no reuse');
  });
}

/** A rotated token of which the queue has the only copy that is left. */
export interface SealedCopy {
  readonly person: Person;
  /** The message. */
  readonly body: string;
}

/**
 * Kills the refresher with a rotated token that Postgres did not take, as a transaction of the product holds the row. Runs
 * before anybody else's call is under way.
 */
export async function killRefresherWithResult(world: World): Promise<SealedCopy> {
  const { client } = world;
  const person = await world.person('sally');
  await world.fault(person, { delayMs: 3_000, times: 1 });
  await world.age(person);
  await world.seen(person, 'an attempt under way', (row) => row.last_refresh_attempt !== null);
  const endTransaction = await client.lockIntegration(person.integrationId);
  try {
    const body = await eventually('a copy in the sealed result queue', async () => {
      const [message] = await client.peek(client.addresses.queueUrls.sealedResults);
      return message ?? null;
    });
    await client.killFunction(client.addresses.functionNames.refresher);
    return { person, body };
  } finally {
    await endTransaction();
  }
}

export async function sealedResult(
  world: World,
  recorder: Recorder,
  { person, body }: SealedCopy,
): Promise<void> {
  await recorder.check('sealed-result-kept', async ({ note, require }) => {
    const { sealed, ...rest } = JSON.parse(body) as { sealed: string };
    note(
      `the row was locked when the provider answered: the queue got ${JSON.stringify(rest)} and ${sealed.length} characters of JWE`,
    );
    note('then the refresher was killed, and nobody else had the new token');
    const row = await world.seen(person, 'the copy stored', (r) => r.last_refresh_success !== null);
    require(Number(row.refresh_claim) === 1, 'the row was claimed before the copy was stored');
    const [accessToken = '', refreshToken = ''] = await Promise.all(
      [row.access_token, row.refresh_token].map((token) => world.client.openToken(token)),
    );
    require(![accessToken, refreshToken].some((token) => body.includes(token)), 'the message shows a token');
    const usable = await checkAccessToken(person.provider.provider.userinfoEndpoint, accessToken);
    require(usable.works, 'the access token that was stored does not work');
    note('when the transaction had ended, a scan stored it before the row was claimed again: it works');
    await world.age(person);
    await world.seen(
      person,
      'its next refresh',
      (r) => r.last_refresh_success?.getTime() !== row.last_refresh_success?.getTime(),
    );
    const calls = await world.calls(person);
    for (const call of calls)
      note(`call ${call.sequence}: used ${call.refreshTokenFingerprint}, got ${call.rotatedTo}`);
    require(calls.length === 2 &&
      calls.every(({ reuse, status }) => !reuse && status === 200), 'the provider saw something else');
    note('the provider saw no reuse');
  });
}

export async function invalidRefreshToken(world: World, recorder: Recorder): Promise<void> {
  const [garbage, damaged] = await Promise.all([world.person('garbage'), world.person('damaged')]);
  // The first refresh seals the token; then one character of its ciphertext is turned.
  await world.age(damaged);
  const sealed = await world.seen(damaged, 'sealed', (row) => row.refresh_token.split('.').length === 5);
  const parts = sealed.refresh_token.split('.');
  const ciphertext = parts[3] ?? '';
  parts[3] = (ciphertext.startsWith('A') ? 'B' : 'A') + ciphertext.slice(1);
  await world.client.sql('UPDATE integrations SET refresh_token = $2 WHERE id = $1', [
    damaged.integrationId,
    parts.join('.'),
  ]);
  await world.client.sql('UPDATE integrations SET refresh_token = $2 WHERE id = $1', [
    garbage.integrationId,
    'garbage-in-place-of-the-token',
  ]);
  await world.age(garbage, damaged);
  const both = [garbage, damaged];
  const describe = (person: Person, row: Snapshot) =>
    `${person.email}: consecutive_failures ${row.consecutive_failures}, status ${row.status}, notifications [${row.notifications.join(', ')}]`;

  await recorder.check('first-failure-silent', async ({ note, require }) => {
    await Promise.all(
      both.map(async (person) => {
        const row = await world.seen(person, 'the first failure', (r) => (r.consecutive_failures ?? 0) >= 1);
        note(describe(person, row));
        require(row.consecutive_failures === 1 &&
          row.notifications.length === 0, 'the first failure was not silent');
        require(row.status === 'connected', 'the first failure changed the status');
      }),
    );
  });
  const firstEmails = Promise.all(
    both.map((person) =>
      eventually(`an email to ${person.email}`, async () => {
        const emails = await world.client.emailsTo(person.email);
        return emails.length > 0 ? { emails, row: await world.see(person) } : null;
      }),
    ),
  );
  firstEmails.catch(() => undefined);
  await recorder.check('second-failure-warns', async ({ note, require }) => {
    await Promise.all(
      both.map(async (person) => {
        const row = await world.seen(person, 'the warning', (r) => r.notifications.length > 0);
        note(describe(person, row));
        require(row.notifications.join() === 'integration_warning', 'it is not one integration_warning');
        require(row.consecutive_failures === 2, 'it did not come with the second failure');
      }),
    );
  });
  await recorder.check('third-failure-disconnects', async ({ note, require }) => {
    await Promise.all(
      both.map(async (person) => {
        const row = await world.seen(person, 'the disconnection', (r) => r.notifications.length > 1);
        note(`${describe(person, row)}, disconnect_reason ${row.disconnect_reason}`);
        require(row.consecutive_failures === 3, 'it did not come with the third failure');
        require(row.status === 'needs_reauthorization', `the status is ${row.status}`);
        require(row.notifications.join() ===
          'integration_warning,integration_disconnected', 'the notifications are others');
      }),
    );
    const claims = await Promise.all(both.map(async (person) => (await world.see(person)).refresh_claim));
    await sleep(severalScansMs);
    const later = await Promise.all(both.map((person) => world.see(person)));
    require(later.every((row, index) => row.refresh_claim === claims[index]), 'it is still being scanned');
    require(later.every((row) => row.notifications.length === 2), 'there were more notifications');
    note(`not claimed again within ${severalScansMs / 1000} s of scans`);
  });
  await recorder.check('invalid-token-mails-at-once', async ({ note, require }) => {
    const atFirst = await firstEmails;
    for (const [index, person] of both.entries()) {
      const { row } = atFirst[index]!;
      const [event] = await world.client.sql<{
        consecutive_failures: number;
        email_kind: string;
        notification_type: string | null;
      }>(
        `SELECT consecutive_failures, email_kind, notification_type FROM evergrant.threshold_events
         WHERE integration_id = $1 AND email_sent_at IS NOT NULL`,
        [person.integrationId],
      );
      require(event?.consecutive_failures === 1 &&
        event.notification_type === null, 'the email did not come of the first failure');
      const emails = await world.client.emailsTo(person.email);
      require(emails.length === 1, `${person.email} got ${emails.length} emails`);
      const [email] = emails;
      require(email?.subject.includes(person.provider.displayName) ===
        true, `the subject does not name the provider: ${email?.subject}`);
      const link = new RegExp(`https?://\\S+reconnect=${person.integrationId}`);
      require(link.test(email?.body.html ?? '') &&
        link.test(email?.body.text ?? ''), 'there is no reconnect link');
      note(
        `to ${person.email}: "${email?.subject}", ${link.exec(email?.body.text ?? '')?.[0]}; seen with consecutive_failures ${row.consecutive_failures}; no other until the disconnection`,
      );
    }
  });
}

export async function otherPermanentFailure(world: World, recorder: Recorder): Promise<void> {
  const fay = await world.person('fay');
  await world.fault(fay, forbidden);
  await recorder.check('third-failure-mails', async ({ note, require }) => {
    await world.age(fay);
    for (const count of [1, 2]) {
      await world.seen(fay, `failure ${count}`, (row) => (row.consecutive_failures ?? 0) >= count);
      require((await world.client.emailsTo(fay.email)).length ===
        0, `an email came before the third failure`);
    }
    note('no email with failures 1 and 2 (403 access_denied)');
    const row = await world.seen(fay, 'the disconnection', (r) => r.status === 'needs_reauthorization');
    require(row.consecutive_failures === 3, `disconnected at ${row.consecutive_failures}`);
    const [email] = await eventually('the email', async () => {
      const emails = await world.client.emailsTo(fay.email);
      return emails.length > 0 ? emails : null;
    });
    note(`with failure 3: "${email?.subject}"`);
    await sleep(severalScansMs);
    require((await world.client.emailsTo(fay.email)).length === 1, 'there was a second email');
  });
}

export async function rateLimit(world: World, recorder: Recorder): Promise<void> {
  const rita = await world.person('rita');
  await world.fault(rita, {
    answer: { status: 429, headers: { 'retry-after': '1' }, body: 'Too many requests' },
  });
  await recorder.check('rate-limit-informs', async ({ note, require }) => {
    await world.age(rita);
    const fourth = await world.seen(
      rita,
      'four 429s',
      (row) => (row.consecutive_transient_failures ?? 0) >= 4,
    );
    require(fourth.consecutive_transient_failures !== 4 ||
      fourth.notifications.length === 0, 'it came too early');
    const row = await world.seen(rita, 'the notification', (r) => r.notifications.length > 0);
    note(
      `consecutive_transient_failures ${row.consecutive_transient_failures}, consecutive_failures ${row.consecutive_failures}, status ${row.status}, notifications [${row.notifications.join(', ')}]`,
    );
    require((row.consecutive_transient_failures ?? 0) >= 5, 'it came before the fifth failure');
    require(row.notifications.join() === 'integration_rate_limit', 'it is not one integration_rate_limit');
    require(row.status === 'connected', `the status is ${row.status}`);
    require((row.consecutive_failures ?? 0) === 0, 'consecutive_failures moved');
    require((await world.client.emailsTo(rita.email)).length === 0, 'an email was sent');
    note('no email');
  });
  await recorder.check('recovers-alone', async ({ note, require }) => {
    await world.client.sql('UPDATE integrations SET consecutive_failures = 1 WHERE id = $1', [
      rita.integrationId,
    ]);
    for (const { id } of await faultsOf(rita)) {
      await fetch(`${rita.provider.provider.origin}/_switches/faults/${id}`, { method: 'DELETE' });
    }
    const row = await world.seen(rita, 'a success', (r) => r.last_refresh_success !== null);
    note(
      `the provider recovered: consecutive_failures ${row.consecutive_failures}, consecutive_transient_failures ${row.consecutive_transient_failures}, status ${row.status}`,
    );
    require(row.consecutive_failures === 0 && row.consecutive_transient_failures === 0, 'a counter is not 0');
    require(row.status === 'connected' && row.notifications.length === 1, 'something else happened');
  });
}

async function faultsOf(person: Person): Promise<{ id: string }[]> {
  const response = await fetch(`${person.provider.provider.origin}/_switches`);
  const { faults } = (await response.json()) as { faults: { id: string; account?: string }[] };
  return faults.filter(({ account }) => account === person.email);
}

export async function operatorFault(world: World, recorder: Recorder): Promise<void> {
  const [ines, otto, uma] = await Promise.all([
    world.person('ines', 'initech-mail'),
    world.person('otto', 'initech-mail'),
    world.person('uma'),
  ]);
  const { provider, client: oauthClient } = world.provider('initech-mail');
  await recorder.check('operator-fault-blames-nobody', async ({ note, require }) => {
    await world.client.setClientSecretAtProvider(provider.origin, 'another-secret-at-the-provider');
    // Sealed with a key that the token key secret does not hold.
    const original = (await world.see(uma)).refresh_token;
    const foreign = await new CompactEncrypt(new TextEncoder().encode(original))
      .setProtectedHeader({
        alg: 'dir',
        enc: 'A256GCM',
        typ: 'evergrant+jwe',
        kid: 'a-key-nobody-has',
        sub: `integrations/${uma.integrationId}/refresh_token`,
      })
      .encrypt(crypto.getRandomValues(new Uint8Array(32)));
    await world.client.sql('UPDATE integrations SET refresh_token = $2 WHERE id = $1', [
      uma.integrationId,
      foreign,
    ]);
    await world.age(ines, otto, uma);
    for (const person of [ines, otto]) {
      const refused = await eventually(`three refusals of ${person.email}`, async () => {
        const calls = (await world.calls(person)).filter(({ error }) => error === 'invalid_client');
        return calls.length >= 3 ? calls : null;
      });
      note(`${person.email}: the provider said invalid_client (401) ${refused.length} times`);
    }
    await world.seen(uma, 'three attempts', (row) => Number(row.refresh_claim) >= 6);
    for (const person of [ines, otto, uma]) {
      const row = await world.see(person);
      note(
        `${person.email}: consecutive_failures ${row.consecutive_failures}, consecutive_transient_failures ${row.consecutive_transient_failures}, status ${row.status}, notifications ${row.notifications.length}`,
      );
      require((row.consecutive_failures ?? 0) === 0 &&
        (row.consecutive_transient_failures ?? 0) === 0, 'a counter moved');
      require(row.status === 'connected' && row.notifications.length === 0, 'a user was blamed');
      require((await world.client.emailsTo(person.email)).length === 0, 'an email was sent');
    }
    await world.client.setClientSecretAtProvider(provider.origin, oauthClient.clientSecret);
    await world.client.sql('UPDATE integrations SET refresh_token = $2 WHERE id = $1', [
      uma.integrationId,
      original,
    ]);
    for (const person of [ines, otto, uma]) {
      await world.seen(
        person,
        'a success after the secret was put right',
        (row) => row.last_refresh_success !== null,
      );
    }
    note('after the secret was put right, all were refreshed');
  });
}

/** The rows stood at 2, 7 and null when the system started, and have been due since. */
export async function noRetroactiveAlerts(
  world: World,
  recorder: Recorder,
  old: { readonly two: Person; readonly seven: Person; readonly none: Person },
): Promise<void> {
  const people = [old.two, old.seven, old.none];
  await recorder.check('no-retroactive-alerts', async ({ note, require }) => {
    await sleep(severalScansMs);
    for (const person of people) {
      const row = await world.see(person);
      require(row.notifications.length === 0 &&
        (await world.client.emailsTo(person.email)).length === 0, `${person.email} was told of old failures`);
    }
    note('rows that stood at 2, 7 and null: no notification, no email after several scans');
    for (const person of people) await world.fault(person, forbidden);
    await world.age(...people);
    for (const [person, before] of [
      [old.two, 2],
      [old.seven, 7],
    ] as const) {
      const row = await world.seen(person, 'the next failure', (r) => r.notifications.length > 0);
      note(
        `${before} → ${row.consecutive_failures}: status ${row.status}, notifications [${row.notifications.join(', ')}]`,
      );
      require(row.consecutive_failures === before + 1, 'the counter did not go on from its own value');
      require(row.status === 'needs_reauthorization', `the status is ${row.status}`);
      require(row.notifications.join() ===
        'integration_disconnected', 'it is not one integration_disconnected');
      await eventually('the email', async () =>
        (await world.client.emailsTo(person.email)).length === 1 ? true : null,
      );
    }
    const first = await world.seen(old.none, 'its first failure', (r) => (r.consecutive_failures ?? 0) >= 1);
    require(first.consecutive_failures === 1 && first.notifications.length === 0, 'null did not count as 0');
    note('null → 1: nothing; one email each for the two disconnections');
  });
}

export async function duplicates(world: World, recorder: Recorder): Promise<void> {
  const dora = await world.person('dora');
  await recorder.check('duplicate-delivery', async ({ note, require }) => {
    // Longer than the copies take to reach a second refresher.
    await world.fault(dora, { delayMs: 4_000 });
    await world.age(dora);
    const { refresh } = world.client.addresses.queueUrls;
    const body = JSON.stringify({ version: 1, integrationId: dora.integrationId });
    const deliver = async (times: number) => {
      for (let copy = 0; copy < times; copy += 1) await world.client.send(refresh, body);
    };
    await world.seen(dora, 'a claim', (row) => Number(row.refresh_claim) > 0);
    await deliver(1);
    await world.seen(dora, 'an attempt under way', (row) => row.last_refresh_attempt !== null);
    await deliver(3);
    await world.seen(dora, 'a success', (row) => row.last_refresh_success !== null);
    await deliver(3);
    await sleep(severalScansMs);
    const calls = await world.calls(dora);
    note(
      `the scanner's message, one copy of it before the call, three during it and three after it: ${calls.length} call at the provider, ${calls.filter(({ overlapped }) => overlapped).length} overlapping`,
    );
    require(calls.length === 1, 'the provider saw more than one call');
  });
  const crowd: Person[] = [];
  for (let number = 1; number <= 10; number += 1)
    crowd.push(await world.person(`crowd-${number}`, 'globex-crm'));
  await recorder.check('overlapping-scans', async ({ note, require }) => {
    await world.age(...crowd);
    const scan = () =>
      world.client.invoke<{ claimed: number; enqueued: number }>(
        world.client.addresses.functionNames.scanner,
        {
          provider: 'globex-crm',
        },
      );
    const reports = await Promise.all([scan(), scan(), scan()]);
    note(
      `three scans at once, beside the scheduled ones, claimed ${reports.map(({ claimed }) => claimed).join(' + ')} of 10`,
    );
    for (const person of crowd)
      await world.seen(person, 'a success', (row) => row.last_refresh_success !== null);
    await sleep(1_000);
    const calls = await world.client.calls(world.provider('globex-crm').provider.origin);
    note(
      `the provider saw ${calls.length} calls for 10 integrations, ${calls.filter(({ overlapped }) => overlapped).length} overlapping`,
    );
    require(calls.length === 10 &&
      new Set(calls.map(({ account }) => account)).size === 10, 'it was not one call each');
  });
}

export async function reconnectWins(world: World, recorder: Recorder): Promise<void> {
  const rex = await world.person('rex');
  await recorder.check('reconnect-wins', async ({ note, require }) => {
    await world.fault(rex, { delayMs: 2_000, times: 1 });
    await world.age(rex);
    await world.seen(rex, 'an attempt under way', (row) => row.last_refresh_attempt !== null);
    const fresh = await world.reconnect(rex);
    note('the user reconnected while the call was under way');
    const [call] = await eventually('the call to end', async () => {
      const calls = await world.calls(rex);
      return calls.length > 0 ? calls : null;
    });
    note(`the call ended with ${call?.status}, rotated to ${call?.rotatedTo}`);
    await sleep(1_500);
    const row = await world.see(rex);
    require(row.refresh_token === fresh.refreshToken, "the refresh token is not the user's new one");
    require(row.access_token === fresh.accessToken, "the access token is not the user's new one");
    const usable = await checkAccessToken(rex.provider.provider.userinfoEndpoint, fresh.accessToken);
    require(usable.works, "the user's new grant does not work");
    note("the row keeps the user's new grant, and it works at the provider");
    await world.age(rex);
    await world.seen(rex, 'its next refresh', (r) => r.last_refresh_success !== null);
    note('its next refresh succeeds');
  });
}

export async function shortLivedToken(world: World, recorder: Recorder): Promise<void> {
  const mia = await world.person('mia', 'soylent-chat');
  await recorder.check('short-lived-token-kept', async ({ note, require }) => {
    const [{ clock } = { clock: new Date() }] = await world.client.sql<{ clock: Date }>(
      'SELECT now() AS clock',
    );
    const refreshes = 3;
    await eventually(
      'the refreshes of a token that lives a minute',
      async () => ((await world.calls(mia)).length >= refreshes ? true : null),
      120_000,
    );
    const row = await world.see(mia);
    const calls = (await world.calls(mia)).slice(0, refreshes);
    const [scans] = await world.client.sql<{ count: number }>(
      'SELECT count(*)::int AS count FROM evergrant.scans WHERE started_at > $1',
      [clock],
    );
    const lasted = calls.slice(1).map((call, index) => {
      const before = Date.parse(calls[index]?.receivedAt ?? '');
      return Math.round((Date.parse(call.receivedAt) - before) / 1000);
    });
    note(
      `a token that lives 60 s: ${calls.length} calls, ${lasted.join(' s and ')} s apart, asked for by delayed messages; ${scans?.count} scans went by`,
    );
    require(lasted.every((seconds) => seconds < 60), 'the token expired between two refreshes');
    require(lasted.every((seconds) => seconds >= 15), 'it was refreshed at each scan');
    require(calls.every(
      ({ status, overlapped, reuse }) => status === 200 && !overlapped && !reuse,
    ), 'the provider saw something else than refreshes one after the other');
    require(row.expires_in_seconds > 0 && row.notifications.length === 0, `its row: ${JSON.stringify(row)}`);
  });
}

export async function poison(world: World, recorder: Recorder): Promise<void> {
  const good = await Promise.all(['pia', 'pim', 'pom'].map((name) => world.person(name)));
  await recorder.check('poison-isolated', async ({ note, require }) => {
    const {
      refresh,
      refreshDeadLetters,
      threshold,
      thresholdDeadLetters,
      sealedResults,
      sealedResultDeadLetters,
    } = world.client.addresses.queueUrls;
    const body = '{"version": 1, "integrationId": "not-an-id", "note": "poison ☠"}';
    const event = '{"version": 1, "eventId": "not-an-id", "note": "poison ☠"}';
    const result = '{"version": 1, "integrationId": "not-an-id", "sealed": "poison ☠"}';
    await world.age(...good);
    await world.client.send(refresh, body);
    await world.client.send(threshold, event);
    await world.client.send(sealedResults, result);
    for (const person of good)
      await world.seen(person, 'a success', (row) => row.last_refresh_success !== null);
    note('three good messages beside it: all refreshed');
    for (const [queue, letter] of [
      [refreshDeadLetters, body],
      [thresholdDeadLetters, event],
      [sealedResultDeadLetters, result],
    ] as const) {
      const dead = await eventually('the dead letter', async () => {
        const bodies = await world.client.peek(queue);
        return bodies.length > 0 ? bodies : null;
      });
      require(dead.length === 1 && dead[0] === letter, `the dead letters are ${JSON.stringify(dead)}`);
      note(`dead letter: ${dead[0]}`);
    }
  });
}
