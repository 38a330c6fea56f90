// Verifies webhooks by the public library standardwebhooks. The input is a JSON array of
// {secret, headers, body}, the output a JSON array of errors, "" if a webhook is genuine.
const { Webhook } = require("standardwebhooks");

const webhooks = JSON.parse(require("fs").readFileSync(0, "utf8"));
const errors = webhooks.map(({ secret, headers, body }) => {
  try {
    new Webhook(secret).verify(body, headers);
    return "";
  } catch (error) {
    return String(error);
  }
});
process.stdout.write(JSON.stringify(errors));
