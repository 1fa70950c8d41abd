const style = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { max-width: 30rem; margin: 20vh auto; padding: 0 1rem; }
  h1 { font-size: 1.5rem; }`;

/** What the operator's browser shows at the end. */
export interface Page {
  readonly status: 200 | 400 | 404;
  readonly title: string;
  readonly text: string;
}

export function connectedPage(displayName: string): Page {
  return {
    status: 200,
    title: 'Connected',
    text: `${displayName} is connected, and the connection is kept alive from now on. You can close this window.`,
  };
}

export function failedPage(displayName: string): Page {
  return {
    status: 400,
    title: 'Not connected',
    text: `${displayName} was not connected. The terminal says why. You can close this window.`,
  };
}

export const notFoundPage: Page = {
  status: 404,
  title: 'Not found',
  text: 'There is no such page. The terminal names the address to open.',
};

export const strayPage: Page = {
  status: 400,
  title: 'Nothing to do here',
  text: 'This page is for the way back from the provider. The terminal names the address to open.',
};

export const answeredPage: Page = {
  status: 400,
  title: 'That is done already',
  text: 'The terminal has had its answer. You can close this window.',
};

export function html({ title, text }: Page): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)} · Evergrant</title>
<style>${style}</style>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(text)}</p>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
