import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SESv2Client, SendEmailCommand } from '@aws-sdk/client-sesv2';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';

export async function readSecret({ id }) {
  try {
    return (await new SecretsManagerClient().send(new GetSecretValueCommand({ SecretId: id }))).SecretString;
  } catch (error) {
    return { name: error.name };
  }
}

export async function sendEmail({ to, timeoutMs = 1_000 }) {
  const command = new SendEmailCommand({
    FromEmailAddress: 'evergrant@example.com',
    Destination: { ToAddresses: [to] },
    Content: { Simple: { Subject: { Data: 'Hello' }, Body: { Text: { Data: 'World' } } } },
  });
  const client = new SESv2Client({ maxAttempts: 1 });
  try {
    return await client.send(command, { abortSignal: AbortSignal.timeout(timeoutMs) });
  } catch (error) {
    return { name: error.name };
  }
}

export async function sendMessage({ body }) {
  const command = new SendMessageCommand({
    QueueUrl: process.env.QUEUE_URL,
    MessageBody: body,
    MessageGroupId: 'g',
  });
  return (await new SQSClient().send(command)).MessageId;
}
