// Read every record of some topics as any developer of another system would:
//   node read_all.js <bootstrap> <registry url> <topic>...
// One line of JSON for each record; `error` instead of `value` where it cannot be decoded.
"use strict";

const { Kafka, logLevel } = require("kafkajs");
const { SchemaRegistry } = require("@kafkajs/confluent-schema-registry");

const [bootstrap, registryUrl, ...topics] = process.argv.slice(2);

async function main() {
  const kafka = new Kafka({ clientId: "node-reader", brokers: bootstrap.split(","), logLevel: logLevel.ERROR });
  const registry = new SchemaRegistry({ host: registryUrl });
  const admin = kafka.admin();
  await admin.connect();
  const left = await recordsToRead(admin);
  await admin.disconnect();
  if (left.size > 0) await readAll(kafka, registry, left);
}

// Ends of the partitions that hold something now; what is written later is not waited for.
async function recordsToRead(admin) {
  const left = new Map();
  for (const topic of topics) {
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
      if (BigInt(low) < BigInt(high)) left.set(`${topic}/${partition}`, BigInt(high));
    }
  }
  return left;
}

async function readAll(kafka, registry, left) {
  const consumer = kafka.consumer({ groupId: `node-reader-${process.pid}-${Date.now()}` });
  await consumer.connect();
  await consumer.subscribe({ topics, fromBeginning: true });
  await new Promise((resolve, reject) => {
    // kafkajs calls it a crash, too, when it goes on by itself: a coordinator that is still loading.
    consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || reject(payload.error));
    consumer
      .run({
        eachMessage: async ({ topic, partition, message }) => {
          const end = left.get(`${topic}/${partition}`);
          if (end === undefined || BigInt(message.offset) >= end) return;
          process.stdout.write(`${JSON.stringify(await told(registry, topic, partition, message))}\n`);
          if (BigInt(message.offset) + 1n >= end) left.delete(`${topic}/${partition}`);
          if (left.size === 0) resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
}

async function told(registry, topic, partition, message) {
  const headers = Object.fromEntries(Object.entries(message.headers ?? {}).map(([k, v]) => [k, String(v)]));
  const line = { topic, partition, offset: Number(message.offset), key: message.key?.toString() ?? null, headers };
  try {
    return { ...line, value: await registry.decode(message.value) };
  } catch (error) {
    return { ...line, error: error.name };
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
