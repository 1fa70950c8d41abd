import type { IntegrationRow } from './store.ts';

const style = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { max-width: 46rem; margin: 3rem auto; padding: 0 1rem; }
  h1 { font-size: 1.5rem; }
  ul { list-style: none; padding: 0; }
  li { display: flex; gap: 1rem; align-items: center; padding: .9rem 1rem; margin: .5rem 0;
       border: 1px solid color-mix(in srgb, currentColor 20%, transparent); border-radius: .6rem; }
  li.asked { outline: 3px solid #3b74d9; }
  li div { flex: 1; min-width: 0; }
  small { display: block; overflow-wrap: anywhere; }
  .bad { color: #c4391d; } .good { color: #2e8540; }
  @media (prefers-color-scheme: dark) { .bad { color: #ff8a70; } .good { color: #7bd88f; } }
  a.button { background: #2b5fc1; color: #fff; padding: .45rem .9rem; border-radius: .4rem; text-decoration: none; }`;

/** The list of connections; the one that an email or a notification asked for stands out. */
export function integrationsPage(
  rows: readonly IntegrationRow[],
  providerNames: ReadonlyMap<string, string>,
  askedFor: string | null,
): string {
  const items = rows.map((row) => {
    const connected = row.status === 'connected';
    const state = connected
      ? `<span class="good">connected</span>, renewed ${ago(row.last_refresh_success)}`
      : `<span class="bad">${escapeHtml(row.status.replaceAll('_', ' '))}</span>`;
    return `<li${row.id === askedFor ? ' class="asked"' : ''}><div><strong>${escapeHtml(
      providerNames.get(row.provider) ?? row.provider,
    )}</strong><small>${escapeHtml(`${row.user_name} <${row.user_email}>`)}</small><small>${state}</small></div>
    <a class="button" href="/reconnect?integration=${encodeURIComponent(row.id)}">Reconnect</a></li>`;
  });
  return page('Integrations', `<ul>${items.join('\n')}</ul>`);
}

export function messagePage(title: string, text: string): string {
  return page(title, `<p>${escapeHtml(text)}</p><p><a href="/integrations">Integrations</a></p>`);
}

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)} · Acme Flows</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>${style}</style></head>
<body><h1>${escapeHtml(title)}</h1>${body}</body></html>`;
}

function ago(moment: Date | null): string {
  if (moment === null) return 'not yet';
  return `${Math.max(0, Math.round((Date.now() - moment.getTime()) / 1000))} s ago`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
