import { countNeverRefreshed } from '../postgres/count-never-refreshed.ts';
import { countUnreachableUsers } from '../postgres/count-unreachable-users.ts';
import { describeUsersView } from '../postgres/describe-users-view.ts';
import { findLastScan } from '../postgres/find-last-scan.ts';
import { listProviders, type UsedProvider } from '../postgres/list-providers.ts';
import { findInCatalogue } from '../providers/catalogue.ts';
import { keys } from './keys.ts';
import {
  counted,
  type Finding,
  failed,
  notChecked,
  ok,
  runMigrator,
  type Topic,
  type VerifyParts,
  warning,
} from './topic.ts';

/** Users that are looked up: enough to see whether the view leads anywhere. */
const sampleSize = 200;
/** Scans that may be missing before it is a fault; one may have failed, and one may be under way. */
const scanIntervals = 3;
const providersAtOnce = 10;
/** Of one provider's secret, with the retries of the SDK. */
const secretMs = 10_000;

const pointView =
  'Run CREATE OR REPLACE VIEW evergrant.users AS SELECT id, email::text, name::text FROM your_users';

/** About what is in the tables, and whether the secrets fit it. */
export const dataTopics: readonly Topic[] = [
  {
    code: 'users_view',
    title: 'evergrant.users leads to the product’s users',
    look: async ({ database, settings }) => {
      switch (await describeUsersView(database)) {
        case 'missing':
          return failed('There is no view evergrant.users.', `${runMigrator}.`);
        case 'pointed':
          return ok('It has been pointed somewhere.');
        case 'empty_default':
          return settings.senderEmail === null
            ? ok(
                'It is empty, which matters to nobody while no sender is configured: only the app tells users.',
              )
            : warning('It is still empty: nobody has an address, and no email goes out.', `${pointView}.`);
      }
    },
  },
  {
    code: 'user_addresses',
    title: 'Connected users have an address',
    look: async ({ database, settings }) => {
      if (settings.senderEmail === null) return ok('No sender is configured: only the app tells users.');
      const { users, unreachable } = await countUnreachableUsers(database, sampleSize);
      const found = `Of ${counted(users, 'connected user')} looked at, ${unreachable} without an address in evergrant.users.`;
      return unreachable === 0
        ? ok(found)
        : warning(
            found,
            `Let the view know every user by the id that stands in integrations.user_id: ${pointView}.`,
          );
    },
  },
  {
    code: 'sealed_tokens',
    title: 'Every sealed token has its key',
    look: async ({ database, sealer }) => {
      const known = await sealer.load().catch(() => null);
      if (known === null) {
        return notChecked('The token key secret is not usable.', 'Mend what the line "token_key" names.');
      }
      const report = await keys(database);
      const unknown = report.keys.filter(({ keyId }) => !known.keyIds.includes(keyId));
      if (unknown.length > 0) {
        return failed(
          `The token key secret lacks ${unknown.map(({ keyId, tokens }) => `${keyId} (${counted(tokens, 'token')})`).join(', ')}.`,
          'Put the key with that id back into the list "previous" of the token key secret: without it these tokens cannot be opened.',
        );
      }
      const current = report.keys.find(({ keyId }) => keyId === known.currentKeyId)?.tokens ?? 0;
      const sealed = report.keys.reduce((sum, { tokens }) => sum + tokens, 0);
      return ok(
        `${counted(current, 'token')} sealed with the current key, ${sealed - current} with an earlier one, ${report.plain} plain.`,
      );
    },
  },
  {
    code: 'provider_secrets',
    title: 'Providers have their secret',
    look: async (parts) => {
      const wanted = (await listProviders(parts.database)).filter(isRenewed);
      const faults: Finding[] = [];
      for (let start = 0; start < wanted.length; start += providersAtOnce) {
        if (parts.remainingMs() < secretMs) {
          faults.push(
            notChecked(
              `No time was left for ${counted(wanted.length - start, 'provider')}.`,
              'Run verify again.',
            ),
          );
          break;
        }
        const chunk = wanted.slice(start, start + providersAtOnce);
        const found = await Promise.all(chunk.map((each) => providerFault(parts, each)));
        faults.push(...found.filter((each) => each !== null));
      }
      return faults.length > 0
        ? faults
        : ok(
            wanted.length === 0
              ? 'No integration needs one yet.'
              : `${wanted.map(({ provider }) => provider).join(', ')}.`,
          );
    },
  },
  {
    code: 'last_scan',
    title: 'Scans go on',
    look: async ({ database, settings }) => {
      const last = await findLastScan(database);
      const look = 'Look at the rule’s state and at the scanner’s log';
      if (last === 'no_table') {
        return notChecked('The database does not record scans yet.', `${runMigrator}.`);
      }
      if (last === 'none') {
        return warning(
          'No scan is recorded yet.',
          `Wait for one scan interval (${settings.scanIntervalSeconds} s) and run verify again. ${look} if it says the same.`,
        );
      }
      const found = `The latest scan that ended well began ${Math.round(last.age_seconds)} s ago; scans are ${settings.scanIntervalSeconds} s apart.`;
      return last.age_seconds < scanIntervals * settings.scanIntervalSeconds
        ? ok(found)
        : failed(found, `${look}: tokens expire without anybody refreshing them.`);
    },
  },
  {
    code: 'never_refreshed',
    title: 'Connected integrations can be refreshed',
    look: async ({ database }) => {
      const { without_refresh_token, without_expiry, without_both } = await countNeverRefreshed(database);
      const faults: Finding[] = [];
      if (without_refresh_token > 0) {
        faults.push(
          warning(
            `${counted(without_refresh_token, 'connected integration')} with an access token that expires and no refresh token: where the provider does not exchange access tokens, users are warned before its end and disconnected at it.`,
            'Where the provider issues refresh tokens, ask for one when users connect (often a scope or a parameter such as offline access), and let these users connect anew.',
          ),
        );
      }
      if (without_expiry > 0) {
        faults.push(
          warning(
            `${counted(without_expiry, 'connected integration')} with a refresh token and no expires_at: no scan ever finds them.`,
            'Let the product write expires_at when users connect; where it is not known, set it to now() once, and the refresh will say.',
          ),
        );
      }
      const never = without_both === 0 ? '' : ` ${without_both} with neither expiry nor refresh token.`;
      return faults.length > 0 ? faults : ok(`All whose token expires.${never}`);
    },
  },
];

/** Without refresh tokens a provider is called only where access tokens are exchanged. */
function isRenewed({ provider, with_refresh_token }: UsedProvider): boolean {
  return with_refresh_token > 0 || findInCatalogue(provider)?.description.renewal === 'access_token';
}

async function providerFault(
  { providers }: VerifyParts,
  { provider, with_refresh_token, without_refresh_token }: UsedProvider,
): Promise<Finding | null> {
  const client = await providers.get(provider);
  if (client.ok) return null;
  const waiting = with_refresh_token > 0 ? with_refresh_token : without_refresh_token;
  return {
    ...failed(
      `${provider === '' ? 'Integrations without a provider' : provider}: ${client.code}; ${counted(waiting, 'connected integration')} wait for it.`,
      client.code === 'provider_name_invalid'
        ? client.fix
        : `${client.fix} evergrant provider check ${provider} tells more, evergrant provider set puts it right.`,
    ),
    title: `Provider ${provider} has its secret`,
  };
}
