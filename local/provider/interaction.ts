import type { KoaContextWithOIDC, default as Provider } from 'oidc-provider';
import { readBody } from './read-body.ts';

const MAX_FORM_BYTES = 16 * 1024;

/** Path of the page that asks the user for login or consent. */
export function interactionPath(uid: string): string {
  return `/interaction/${uid}`;
}

/**
 * Middleware with the provider's two pages, login and consent: plain forms, for a person and for a scripted
 * browser alike. Any account id is accepted without a password; consent can be denied.
 */
export function interactionPages(provider: Provider, displayName: string) {
  return async (ctx: KoaContextWithOIDC, next: () => Promise<void>): Promise<void> => {
    if (!ctx.path.startsWith(interactionPath(''))) return next();
    ctx.set('cache-control', 'no-store');
    const interaction = await provider.interactionDetails(ctx.req, ctx.res).catch(() => null);
    if (!interaction || ctx.path !== interactionPath(interaction.uid)) {
      ctx.status = 400;
      ctx.body = page(displayName, '<p>This sign-in is over. Start again from the app.</p>');
      return;
    }
    const { prompt, session, params } = interaction;
    const clientId = String(params.client_id);

    if (ctx.method === 'GET') {
      ctx.body = page(
        displayName,
        prompt.name === 'login'
          ? loginForm(ctx.path)
          : consentForm(ctx.path, clientId, session?.accountId ?? '', String(params.scope ?? '')),
      );
      return;
    }

    const body = await readBody(ctx.req, MAX_FORM_BYTES);
    const form = new URLSearchParams(body instanceof Buffer ? body.toString() : '');
    if (prompt.name === 'login') {
      const account = form.get('login')?.trim();
      if (!account) {
        ctx.status = 400;
        ctx.body = page(displayName, `<p>Who are you?</p>${loginForm(ctx.path)}`);
        return;
      }
      const login = { login: { accountId: account } };
      return seeOther(ctx, await provider.interactionResult(ctx.req, ctx.res, login));
    }

    if (form.get('decision') !== 'allow') {
      const denied = { error: 'access_denied', error_description: 'the user denied the request' };
      return seeOther(ctx, await provider.interactionResult(ctx.req, ctx.res, denied));
    }
    const grant = new provider.Grant({ accountId: session?.accountId ?? '', clientId });
    grant.addOIDCScope(String(params.scope ?? ''));
    const consent = { consent: { grantId: await grant.save() } };
    return seeOther(ctx, await provider.interactionResult(ctx.req, ctx.res, consent));
  };
}

function seeOther(ctx: KoaContextWithOIDC, location: string): void {
  ctx.redirect(location);
  ctx.status = 303;
}

function loginForm(action: string): string {
  return `<form method="post" action="${escapeHtml(action)}">
<label>Account <input name="login" autocomplete="username" required autofocus></label>
<button>Sign in</button>
</form>`;
}

function consentForm(action: string, clientId: string, account: string, scope: string): string {
  const scopes = scope
    .split(' ')
    .map((name) => `<li>${escapeHtml(name)}</li>`)
    .join('');
  return `<p><b>${escapeHtml(clientId)}</b> asks for access to <b>${escapeHtml(account)}</b>:</p>
<ul>${scopes}</ul>
<form method="post" action="${escapeHtml(action)}">
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button>
</form>`;
}

function page(title: string, content: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:12vh auto;padding:0 1rem}
input,button{font:inherit;padding:.4rem .8rem}label{display:block;margin:0 0 1rem}</style>
<h1>${escapeHtml(title)}</h1>
${content}
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
