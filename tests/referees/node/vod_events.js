// Sends a known set of VOD callbacks with the vendor's Node SDK: 2 snapshots, one of them failed.
//
// Usage: vod_events.js ENDPOINT ACCESS_KEY_ID ACCESS_KEY_SECRET QUEUE
'use strict';

const Client = require('@alicloud/mns');

const [endpoint, accessKeyId, accessKeySecret, queue] = process.argv.slice(2);
const client = new Client('123', { endpoint, accessKeyId, accessKeySecret });

function event(number, status) {
  const fields = {
    EventType: 'SnapshotComplete',
    EventTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    VideoId: `snapshot-${number}`,
    Status: status,
  };
  return { MessageBody: JSON.stringify(fields) };
}

client
  .batchSendMessage(queue, [event(1, 'success'), event(2, 'fail')])
  .catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
