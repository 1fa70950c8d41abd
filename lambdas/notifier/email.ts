import type { EmailCopy } from './copy.ts';
import { displayName, shorten, singleLine, webUrl } from './copy.ts';

/** An email as SES takes it. */
export interface RenderedEmail {
  readonly subject: string;
  readonly html: string;
  readonly text: string;
}

const longestSubject = 150;
const textColumns = 72;

/**
 * Gives an email its form, as HTML and as text. Every string is escaped for where it goes. Throws `RangeError`
 * when the button's URL is not http or https.
 */
export function renderEmail(copy: EmailCopy, productName: string): RenderedEmail {
  const url = webUrl('button.url', copy.button.url).href;
  const content: Content = {
    subject: shorten(singleLine(copy.subject), longestSubject),
    preheader: singleLine(copy.preheader),
    product: displayName(productName),
    heading: singleLine(copy.heading),
    paragraphs: copy.paragraphs.map(singleLine),
    label: singleLine(copy.button.label),
    url,
    footnote: singleLine(copy.footnote),
  };
  return { subject: content.subject, html: renderHtml(content), text: renderText(content) };
}

/** Single lines, not yet escaped. */
interface Content {
  readonly subject: string;
  readonly preheader: string;
  readonly product: string;
  readonly heading: string;
  readonly paragraphs: readonly string[];
  readonly label: string;
  readonly url: string;
  readonly footnote: string;
}

function renderText({ product, heading, paragraphs, label, url, footnote }: Content): string {
  const blocks = [product, heading, ...paragraphs].map(wrap);
  return `${[...blocks, `${wrap(`${label}:`)}\n${url}`, '---', wrap(footnote)].join('\n\n')}\n`;
}

function wrap(line: string): string {
  const lines: string[] = [];
  let current = '';
  for (const word of line.split(' ')) {
    const longer = current === '' ? word : `${current} ${word}`;
    if ([...longer].length > textColumns && current !== '') {
      lines.push(current);
      current = word;
    } else {
      current = longer;
    }
  }
  return [...lines, current].join('\n');
}

const fonts = `-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif`;
const breaks = 'overflow-wrap:anywhere;word-break:break-word';

// Keeps an inbox from showing the greeting after the preheader; lines, because SMTP bounds their length.
const previewFiller = Array.from({ length: 6 }, () => '&#847;&zwnj;&nbsp;'.repeat(15)).join('\n');

// Outlook draws neither max-width nor a link's padding: it gets a table of fixed width and `mso-padding-alt`.
function renderHtml(content: Content): string {
  const subject = escapeHtml(content.subject);
  const url = escapeHtml(content.url);
  const paragraphs = content.paragraphs.map(
    (paragraph) =>
      `<p class="text" style="margin:0 0 16px;font-size:16px;line-height:25px;color:#24292f">${escapeHtml(paragraph)}</p>`,
  );
  return `<!DOCTYPE html>
<html lang="en" dir="ltr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<meta name="format-detection" content="telephone=no,date=no,address=no,email=no,url=no">
<meta name="x-apple-disable-message-reformatting">
<title>${subject}</title>
<!--[if mso]><style>td,p,h1,a{font-family:Arial,sans-serif!important}</style><![endif]-->
<style>
:root{color-scheme:light dark;supported-color-schemes:light dark}
@media (max-width:480px){
.outer{padding:20px 12px 28px!important}
.card{padding:26px 20px 28px!important}
.aside{padding-left:21px!important;padding-right:21px!important}
.button{width:100%!important}
.button a{display:block!important}
}
@media (prefers-color-scheme:dark){
.page{background:#101317!important}
.card{background:#1a1f26!important;border-color:#313943!important}
.heading{color:#f4f6f8!important}
.text{color:#dde2e8!important}
.muted{color:#a6b0bb!important}
.button td,.button a{background:#a9c1ff!important;color:#0c1a3d!important}
}
</style>
</head>
<body class="page" style="margin:0;padding:0;width:100%;background:#f2f4f7;-webkit-text-size-adjust:100%">
<div style="display:none;max-height:0;overflow:hidden;opacity:0;font-size:1px;line-height:1px;mso-hide:all">
${escapeHtml(content.preheader)}
${previewFiller}
</div>
<table class="page" role="presentation" width="100%" border="0" cellpadding="0" cellspacing="0" bgcolor="#f2f4f7" style="background:#f2f4f7">
<tr><td class="outer" align="center" style="padding:40px 16px 48px">
<!--[if mso]><table role="presentation" width="560" border="0" cellpadding="0" cellspacing="0"><tr><td><![endif]-->
<table role="presentation" width="100%" border="0" cellpadding="0" cellspacing="0" style="max-width:560px;table-layout:fixed;font-family:${fonts};${breaks}">
<tr><td class="aside muted" align="left" style="padding:0 37px 14px;font-size:15px;line-height:22px;font-weight:600;color:#57606a">${escapeHtml(content.product)}</td></tr>
<tr><td class="card" align="left" bgcolor="#ffffff" style="padding:34px 36px 36px;background:#ffffff;border:1px solid #dce1e7;border-radius:12px">
<h1 class="heading" style="margin:0 0 18px;font-size:23px;line-height:30px;font-weight:600;color:#14181d">${escapeHtml(content.heading)}</h1>
${paragraphs.join('\n')}
<table class="button" role="presentation" border="0" cellpadding="0" cellspacing="0" style="margin-top:26px">
<tr><td align="center" bgcolor="#1f4fd0" style="background:#1f4fd0;border-radius:8px;mso-padding-alt:13px 26px">
<a href="${url}" target="_blank" style="display:inline-block;padding:13px 26px;mso-padding-alt:0;font-family:${fonts};font-size:16px;line-height:22px;font-weight:600;color:#ffffff;background:#1f4fd0;border-radius:8px;text-decoration:none;${breaks}">${escapeHtml(content.label)}</a>
</td></tr>
</table>
</td></tr>
<tr><td class="aside muted" align="left" style="padding:20px 37px 0;font-size:13px;line-height:20px;color:#57606a">
<p style="margin:0 0 8px">${escapeHtml(content.footnote)}</p>
<p style="margin:0"><a class="muted" href="${url}" target="_blank" style="color:#57606a;text-decoration:underline">${url}</a></p>
</td></tr>
</table>
<!--[if mso]></td></tr></table><![endif]-->
</td></tr>
</table>
</body>
</html>
`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(value: string): string {
  return value.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}
