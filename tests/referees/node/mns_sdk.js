// Puts the emulator before the vendor's Node SDK (@alicloud/mns).
//
// Usage: mns_sdk.js ENDPOINT ACCESS_KEY_ID ACCESS_KEY_SECRET [SECURITY_TOKEN]
//
// Prints one line a check, `ok NAME` or `FAILED NAME`; exits with the number of failures.
'use strict';

const assert = require('assert').strict;
const crypto = require('crypto');
const Client = require('@alicloud/mns');

const [endpoint, accessKeyId, accessKeySecret, securityToken] = process.argv.slice(2);
const AWKWARD = '<转码 & "完成" \'é\' 🎬>\n\t]]>';
let failures = 0;

/** Counts and prints one check; a failing one does not end the others. */
async function check(name, body) {
  try {
    await body();
    console.log(`ok ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED ${name}\n${error.stack}`);
  }
}

/** `call` must end in the service error `code`. */
function rejected(code, call) {
  return assert.rejects(call, (error) => {
    assert.equal(error.name, `MNS${code}Error`);
    return true;
  });
}

function near(foundMs, expectedMs) {
  const off = Math.abs(Number(foundMs) - expectedMs);
  assert(off < 5000, `${foundMs} is ${off} ms away from ${expectedMs}`);
}

const md5 = (text) => crypto.createHash('md5').update(text).digest('hex').toUpperCase();

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
/** The SDK writes texts into its XML as they are, so the caller escapes. */
const escape = (text) => text.replace(/[&<>]/g, (character) => ENTITIES[character]);

const message = (body, rest = {}) => ({ MessageBody: escape(body), ...rest });

function connect(options = {}) {
  return new Client('123', { endpoint, accessKeyId, accessKeySecret, securityToken, ...options });
}

const client = connect();
const nameOf = (url) => url.split('/').pop();
const attributes = async (queue) => (await client.getQueueAttributes(queue)).body;
const depth = async (queue) => {
  const meta = await attributes(queue);
  return [meta.ActiveMessages, meta.InactiveMessages, meta.DelayMessages].map(Number);
};

async function queues() {
  await check('create', async () => {
    const reply = await client.createQueue('js-create', { VisibilityTimeout: 45 });
    assert.equal(reply.code, 201);
    assert.equal(nameOf(reply.headers.location), 'js-create');
  });
  await check('create again with equal attributes', async () => {
    const reply = await client.createQueue('js-create', { VisibilityTimeout: 45 });
    assert.equal(reply.code, 204);
  });
  await check('create again with other attributes', () =>
    rejected('QueueAlreadyExist', () => client.createQueue('js-create', { VisibilityTimeout: 46 })));
  await check('create with a bad name', () =>
    rejected('InvalidQueueName', () => client.createQueue('-js')));
  await check('create with a bad attribute', () =>
    rejected('InvalidArgument', () => client.createQueue('js-bad', { VisibilityTimeout: 43201 })));

  await check('attributes', async () => {
    const meta = await attributes('js-create');
    near(meta.CreateTime * 1000, Date.now());
    near(meta.LastModifyTime * 1000, Date.now());
    delete meta.CreateTime;
    delete meta.LastModifyTime;
    assert.deepEqual(meta, {
      QueueName: 'js-create',
      VisibilityTimeout: '45',
      MaximumMessageSize: '65536',
      MessageRetentionPeriod: '345600',
      DelaySeconds: '0',
      PollingWaitSeconds: '0',
      ActiveMessages: '0',
      InactiveMessages: '0',
      DelayMessages: '0',
      LoggingEnabled: 'False',
    });
  });
  await check('set attributes', async () => {
    const changes = { VisibilityTimeout: 60, MessageRetentionPeriod: 3600 };
    const reply = await client.setQueueAttributes('js-create', changes);
    assert.equal(reply.code, 204);
    const meta = await attributes('js-create');
    assert.equal(meta.VisibilityTimeout, '60');
    assert.equal(meta.MessageRetentionPeriod, '3600');
    assert.equal(meta.MaximumMessageSize, '65536');
  });
  await check('set a bad attribute', () =>
    rejected('InvalidArgument', () =>
      client.setQueueAttributes('js-create', { PollingWaitSeconds: 31 })));

  const names = [0, 1, 2, 3, 4].map((number) => `js-page-${number}`);
  for (const name of names) {
    await client.createQueue(name, { VisibilityTimeout: 70 });
  }
  await check('list by prefix', async () => {
    const { body } = await client.listQueue(undefined, 1000, 'js-page-');
    assert.deepEqual(body.map((queue) => nameOf(queue.QueueURL)).sort(), names);
  });
  await check('list in pages', async () => {
    // listQueue() drops NextMarker, so the pages are asked for one level below.
    const found = [];
    const sizes = [];
    let marker;
    do {
      const headers = { 'x-mns-prefix': 'js-page-', 'x-mns-ret-number': '2' };
      if (marker) {
        headers['x-mns-marker'] = marker;
      }
      const { body } = await client.get('/queues', 'Queues', { headers });
      found.push(...body.Queue.map((queue) => nameOf(queue.QueueURL)));
      sizes.push(body.Queue.length);
      marker = body.NextMarker;
    } while (marker);
    assert.deepEqual(found.sort(), names);
    assert.deepEqual(sizes, [2, 2, 1]);
  });
  await check('list with attributes', async () => {
    const headers = { 'x-mns-prefix': 'js-page-', 'x-mns-with-meta': 'true' };
    const { body } = await client.get('/queues', 'Queues', { headers });
    assert.deepEqual(body.Queue.map((queue) => queue.VisibilityTimeout), Array(5).fill('70'));
    assert.deepEqual(body.Queue.map((queue) => queue.ActiveMessages), Array(5).fill('0'));
  });
  await check('list nothing', async () => {
    const { code, body } = await client.listQueue(undefined, 1000, 'js-nobody');
    assert.equal(code, 200);
    assert.equal(body, undefined);
  });

  await check('delete queue', async () => {
    assert.equal((await client.deleteQueue('js-create')).code, 204);
    await rejected('QueueNotExist', () => client.getQueueAttributes('js-create'));
  });
  await check('missing queue', async () => {
    await rejected('QueueNotExist', () => client.peekMessage('js-missing'));
    await rejected('QueueNotExist', () => client.receiveMessage('js-missing'));
    await rejected('QueueNotExist', () => client.batchReceiveMessage('js-missing', 16));
    await rejected('QueueNotExist', () => client.sendMessage('js-missing', message('x')));
    await rejected('QueueNotExist', () => client.deleteMessage('js-missing', 'x'));
  });
}

async function oneMessage() {
  const queue = 'js-one';
  await client.createQueue(queue, { VisibilityTimeout: 30 });
  let sent;
  let peeked;
  let received;
  let changed;
  let again;
  await check('send', async () => {
    const reply = await client.sendMessage(queue, message('hello', { Priority: 3 }));
    assert.equal(reply.code, 201);
    sent = reply.body;
    assert.equal(sent.MessageBodyMD5, md5('hello'));
    assert.equal(sent.ReceiptHandle, undefined);
  });
  await check('peek', async () => {
    for (const _ of [1, 2]) {
      peeked = (await client.peekMessage(queue)).body;
      near(peeked.EnqueueTime, Date.now());
      assert.deepEqual(peeked, {
        MessageId: sent.MessageId,
        MessageBodyMD5: md5('hello'),
        MessageBody: 'hello',
        EnqueueTime: peeked.EnqueueTime,
        FirstDequeueTime: peeked.EnqueueTime,
        DequeueCount: '0',
        Priority: '3',
      });
    }
  });
  await check('receive', async () => {
    received = (await client.receiveMessage(queue)).body;
    near(received.NextVisibleTime, Date.now() + 30000);
    assert(received.FirstDequeueTime >= peeked.EnqueueTime);
    assert.deepEqual(received, {
      ...peeked,
      FirstDequeueTime: received.FirstDequeueTime,
      DequeueCount: '1',
      ReceiptHandle: received.ReceiptHandle,
      NextVisibleTime: received.NextVisibleTime,
    });
  });
  await check('in flight', async () => {
    assert.deepEqual(await depth(queue), [0, 1, 0]);
    await rejected('MessageNotExist', () => client.peekMessage(queue));
  });
  await check('change visibility', async () => {
    const reply = await client.changeMessageVisibility(queue, received.ReceiptHandle, 300);
    assert.equal(reply.code, 200);
    changed = reply.body;
    assert.notEqual(changed.ReceiptHandle, received.ReceiptHandle);
    near(changed.NextVisibleTime, Date.now() + 300000);
    await rejected('MessageNotExist', () =>
      client.changeMessageVisibility(queue, received.ReceiptHandle, 300));
  });
  await check('delete with a stale handle', () =>
    rejected('MessageNotExist', () => client.deleteMessage(queue, received.ReceiptHandle)));
  await check('redelivery', async () => {
    await client.changeMessageVisibility(queue, changed.ReceiptHandle, 1);
    again = (await client.receiveMessage(queue, 5)).body;
    assert.equal(again.MessageId, sent.MessageId);
    assert.equal(again.DequeueCount, '2');
    assert.equal(again.FirstDequeueTime, received.FirstDequeueTime);
  });
  await check('delete', async () => {
    assert.equal((await client.deleteMessage(queue, again.ReceiptHandle)).code, 204);
    await rejected('MessageNotExist', () => client.deleteMessage(queue, again.ReceiptHandle));
    assert.deepEqual(await depth(queue), [0, 0, 0]);
  });
  await check('delayed message', async () => {
    const { body } = await client.sendMessage(queue, message('later', { DelaySeconds: 1 }));
    assert(body.ReceiptHandle);
    await rejected('MessageNotExist', () => client.peekMessage(queue));
    assert.deepEqual(await depth(queue), [0, 0, 1]);
    assert.equal((await client.receiveMessage(queue, 5)).body.MessageBody, 'later');
  });
  await check('delete before it is due', async () => {
    const { body } = await client.sendMessage(queue, message('never', { DelaySeconds: 600 }));
    await client.deleteMessage(queue, body.ReceiptHandle);
    assert.equal((await depth(queue))[2], 0);
  });
}

async function batches() {
  const queue = 'js-batch';
  await client.createQueue(queue, { VisibilityTimeout: 30 });
  const bodies = Array.from({ length: 16 }, (_, number) => `body ${number}`);
  const received = [];
  await check('batch send', async () => {
    const reply = await client.batchSendMessage(queue, bodies.map((body) => message(body)));
    assert.equal(reply.code, 201);
    assert.deepEqual(reply.body.map((entry) => entry.MessageBodyMD5), bodies.map(md5));
    assert.equal(new Set(reply.body.map((entry) => entry.MessageId)).size, 16);
    assert.deepEqual(await depth(queue), [16, 0, 0]);
  });
  await check('batch peek', async () => {
    const { body } = await client.batchPeekMessage(queue, 16);
    assert(body.length >= 1 && body.length <= 16);
    for (const entry of body) {
      assert(bodies.includes(entry.MessageBody));
      assert.deepEqual([entry.DequeueCount, entry.Priority], ['0', '8']);
    }
  });
  await check('batch receive', async () => {
    while (received.length < 16) {
      received.push(...(await client.batchReceiveMessage(queue, 16)).body);
    }
    assert.deepEqual(received.map((entry) => entry.MessageBody).sort(), [...bodies].sort());
    for (const entry of received) {
      assert.equal(entry.MessageBodyMD5, md5(entry.MessageBody));
      assert.equal(entry.DequeueCount, '1');
    }
  });
  const handles = received.map((entry) => entry.ReceiptHandle);
  await check('batch delete', async () => {
    const reply = await client.batchDeleteMessage(queue, handles.slice(0, 8));
    assert.equal(reply.code, 204);
    assert.deepEqual(await depth(queue), [0, 8, 0]);
  });
  await check('batch delete with a stale handle', async () => {
    const reply = await client.batchDeleteMessage(queue, [handles[0], ...handles.slice(8)]);
    assert.equal(reply.code, 404);
    assert.equal(reply.body.length, 1);
    assert.equal(reply.body[0].ErrorCode, 'MessageNotExist');
    assert.equal(reply.body[0].ReceiptHandle, handles[0]);
    assert.deepEqual(await depth(queue), [0, 0, 0]);
  });
  await check('empty queue', async () => {
    await rejected('MessageNotExist', () => client.peekMessage(queue));
    await rejected('MessageNotExist', () => client.receiveMessage(queue));
    await rejected('MessageNotExist', () => client.batchPeekMessage(queue, 16));
    await rejected('MessageNotExist', () => client.batchReceiveMessage(queue, 16));
  });
}

async function longPolls() {
  const queue = 'js-wait';
  await client.createQueue(queue);
  await check('long poll on an empty queue', async () => {
    const started = Date.now();
    await rejected('MessageNotExist', () => client.batchReceiveMessage(queue, 16, 1));
    const waited = Date.now() - started;
    assert(waited > 900 && waited < 5000, `came back after ${waited} ms`);
  });
  await check('long poll ends with a message', async () => {
    const started = Date.now();
    const polled = client.receiveMessage(queue, 20);
    await client.sendMessage(queue, message('wake up'));
    assert.equal((await polled).body.MessageBody, 'wake up');
    assert(Date.now() - started < 10000);
  });
}

async function bodies() {
  const queue = 'js-body';
  await client.createQueue(queue);
  await check('awkward body', async () => {
    const sent = (await client.sendMessage(queue, message(AWKWARD))).body;
    assert.equal(sent.MessageBodyMD5, md5(AWKWARD));
    assert.equal((await client.peekMessage(queue)).body.MessageBody, AWKWARD);
    const received = (await client.receiveMessage(queue)).body;
    assert.equal(received.MessageBody, AWKWARD);
    assert.equal(received.MessageBodyMD5, md5(AWKWARD));
  });
  await check('base64 body', async () => {
    const encoded = Buffer.from(AWKWARD).toString('base64');
    await client.sendMessage(queue, message(encoded));
    const received = (await client.receiveMessage(queue)).body;
    assert.equal(Buffer.from(received.MessageBody, 'base64').toString(), AWKWARD);
    assert.equal(received.MessageBodyMD5, md5(encoded));
  });
  await check('largest body', async () => {
    const largest = '"'.repeat(65536);
    await client.sendMessage(queue, message(largest));
    assert.equal((await client.receiveMessage(queue)).body.MessageBody, largest);
  });
  await check('body too large', () =>
    rejected('InvalidArgument', () => client.sendMessage(queue, message('x'.repeat(65537)))));
  await check('batch too large', () =>
    rejected('InvalidArgument', () =>
      client.batchSendMessage(queue, Array(2).fill(message('x'.repeat(40000))))));
}

async function refusals() {
  const queue = 'js-refuse';
  await client.createQueue(queue);
  await check('wrong secret', () =>
    rejected('SignatureDoesNotMatch', () => connect({ accessKeySecret: 'wrong' }).peekMessage(queue)));
  await check('wrong id', () =>
    rejected('InvalidAccessKeyId', () => connect({ accessKeyId: 'nobody' }).peekMessage(queue)));
  if (securityToken) {
    await check('missing security token', () =>
      rejected('InvalidAccessKeyId', () => connect({ securityToken: '' }).peekMessage(queue)));
    await check('wrong security token', () =>
      rejected('SecurityTokenExpired', () => connect({ securityToken: 'x' }).peekMessage(queue)));
  }
  await check('clock off', () => {
    const date = new Date(Date.now() - 20 * 60 * 1000).toUTCString();
    const headers = { date, 'x-mns-date': date };
    return rejected('TimeExpired', () => client.get('/queues', 'Queues', { headers }));
  });
  await check('changed after signing', () => {
    const headers = { 'content-md5': Buffer.from(md5('other').toLowerCase()).toString('base64') };
    const body = '<Message><MessageBody>x</MessageBody></Message>';
    const url = `/queues/${queue}/messages`;
    return rejected('InvalidDegist', () => client.post(url, 'Message', body, [], { headers }));
  });
  await check('malformed XML', () =>
    rejected('MalformedXML', () =>
      client.post(`/queues/${queue}/messages`, 'Message', '<Message><MessageBody>x</Mess')));
  await check('bad receipt handle', () =>
    rejected('ReceiptHandleError', () => client.deleteMessage(queue, 'garbage')));
  await check('batch of 17', async () => {
    await rejected('InvalidArgument', () => client.batchReceiveMessage(queue, 17));
    await rejected('InvalidArgument', () =>
      client.batchSendMessage(queue, Array(17).fill(message('x'))));
  });
  await check('bad priority', () =>
    rejected('InvalidArgument', () => client.sendMessage(queue, message('x', { Priority: 17 }))));
  await check('bad delay', () =>
    rejected('InvalidArgument', () =>
      client.sendMessage(queue, message('x', { DelaySeconds: 604801 }))));
  await check('bad wait', () => rejected('InvalidArgument', () => client.receiveMessage(queue, 31)));
  await check('bad visibility timeout', async () => {
    await client.sendMessage(queue, message('x'));
    const received = (await client.receiveMessage(queue)).body;
    await rejected('InvalidArgument', () =>
      client.changeMessageVisibility(queue, received.ReceiptHandle, 0));
  });
  await check('refusals change nothing', async () => {
    assert.deepEqual(await depth(queue), [0, 1, 0]);
  });
}

(async () => {
  for (const group of [queues, oneMessage, batches, longPolls, bodies, refusals]) {
    await group();
  }
  process.exitCode = Math.min(failures, 100);
})();
