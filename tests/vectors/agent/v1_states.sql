BEGIN TRANSACTION;
CREATE TABLE connections (
    alias TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('initiator', 'joiner')),
    reply INTEGER NOT NULL,
    receiving TEXT NOT NULL,
    sending TEXT NOT NULL,
    connected INTEGER NOT NULL,
    last_message_id INTEGER NOT NULL,
    last_sent_id INTEGER NOT NULL,
    last_sent_hash BLOB NOT NULL,
    last_received_id INTEGER NOT NULL,
    last_received_hash BLOB NOT NULL,
    last_server_id TEXT NOT NULL,
    last_plaintext_hash BLOB NOT NULL,
    suspended INTEGER NOT NULL,
    unreadable INTEGER NOT NULL
  ) STRICT;
INSERT INTO connections VALUES('friend',1000,'initiator',1,'active','active',1,12,13,X'0e',15,X'10','bGFzdA==',X'11',0,18);
INSERT INTO connections VALUES('joining',2000,'joiner',1,'none','new',0,12,0,X'',15,X'10','bGFzdA==',X'11',1,18);
INSERT INTO connections VALUES('greeting',3000,'joiner',1,'new','confirmed',0,12,13,X'0e',15,X'10','bGFzdA==',X'11',1,18);
INSERT INTO connections VALUES('failed',4000,'joiner',1,'none','new',0,12,13,X'0e',15,X'10','bGFzdA==',X'11',1,18);
INSERT INTO connections VALUES('answering',5000,'initiator',1,'active','confirmed',0,12,13,X'0e',15,X'10','bGFzdA==',X'11',1,18);
INSERT INTO connections VALUES('invited',2000,'initiator',1,'new','none',0,12,0,X'',0,X'','',X'',0,0);
CREATE TABLE receiving_queues (
    alias TEXT PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
    host TEXT NOT NULL,
    port INTEGER,
    key_hash TEXT,
    recipient_id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    recipient_key BLOB NOT NULL,
    decryption_key BLOB NOT NULL,
    sender_key BLOB,
    verification_key BLOB
  ) STRICT;
INSERT INTO receiving_queues VALUES('friend','one.example',5223,'aGFzaA==','cmlk','c2lk',X'010203',X'0405',X'06',X'07');
INSERT INTO receiving_queues VALUES('greeting','one.example',5223,'aGFzaA==','cmlk','c2lk',X'010203',X'0405',X'06',X'07');
INSERT INTO receiving_queues VALUES('answering','one.example',5223,'aGFzaA==','cmlk','c2lk',X'010203',X'0405',X'06',X'07');
CREATE TABLE sending_queues (
    alias TEXT PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
    host TEXT NOT NULL,
    port INTEGER,
    key_hash TEXT,
    sender_id TEXT NOT NULL,
    sender_key BLOB NOT NULL,
    signing_key BLOB NOT NULL,
    encryption_key BLOB NOT NULL
  ) STRICT;
INSERT INTO sending_queues VALUES('friend','two.example',NULL,NULL,'c2lkMg==',X'08',X'090a',X'0b');
INSERT INTO sending_queues VALUES('joining','two.example',NULL,NULL,'c2lkMg==',X'08',X'090a',X'0b');
INSERT INTO sending_queues VALUES('greeting','two.example',NULL,NULL,'c2lkMg==',X'08',X'090a',X'0b');
INSERT INTO sending_queues VALUES('failed','two.example',NULL,NULL,'c2lkMg==',X'08',X'090a',X'0b');
INSERT INTO sending_queues VALUES('answering','two.example',NULL,NULL,'c2lkMg==',X'08',X'090a',X'0b');
CREATE TABLE outbox (
    alias TEXT NOT NULL REFERENCES connections ON DELETE CASCADE,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('KEY', 'HELLO', 'REPLY', 'MSG')),
    message_id INTEGER NOT NULL,
    plaintext BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    attempted INTEGER NOT NULL,
    PRIMARY KEY (alias, position)
  ) STRICT;
INSERT INTO outbox VALUES('friend',23,'MSG',23,X'1701',5,0);
INSERT INTO outbox VALUES('friend',24,'MSG',24,X'1801',5,0);
INSERT INTO outbox VALUES('joining',1,'KEY',0,X'0101',5,1);
INSERT INTO outbox VALUES('joining',2,'HELLO',0,X'0201',5,0);
INSERT INTO outbox VALUES('joining',3,'REPLY',0,X'0301',5,0);
INSERT INTO outbox VALUES('greeting',2,'HELLO',0,X'0201',5,0);
INSERT INTO outbox VALUES('greeting',24,'MSG',24,X'1801',5,0);
INSERT INTO outbox VALUES('answering',2,'HELLO',0,X'0201',5,0);
CREATE TABLE messages (
    alias TEXT NOT NULL REFERENCES connections ON DELETE CASCADE,
    id INTEGER NOT NULL,
    body BLOB NOT NULL,
    at INTEGER NOT NULL,
    done INTEGER NOT NULL,
    integrity TEXT,
    server_id TEXT,
    server_at INTEGER,
    sender_id INTEGER,
    sender_at INTEGER,
    PRIMARY KEY (alias, id)
  ) STRICT;
INSERT INTO messages VALUES('friend',1,X'0102',10,1,'{"type":"NO_ID","from":1,"to":2}','b25l',6,7,8);
INSERT INTO messages VALUES('friend',2,X'0202',20,0,'{"type":"NO_ID","from":1,"to":2}','dHdv',6,7,8);
INSERT INTO messages VALUES('greeting',1,X'0102',25,0,'{"type":"NO_ID","from":1,"to":2}','Z3JlZXRpbmc=',6,7,8);
INSERT INTO messages VALUES('friend',3,X'0302',30,0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO messages VALUES('friend',4,X'0402',40,1,NULL,NULL,NULL,NULL,NULL);
INSERT INTO messages VALUES('friend',5,X'0502',50,0,'{"type":"NO_ID","from":1,"to":2}','bGFzdA==',6,7,8);
CREATE TABLE passphrase (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    salt BLOB NOT NULL,
    iterations INTEGER NOT NULL,
    proof BLOB NOT NULL
  ) STRICT;
CREATE INDEX messages_at ON messages (at) WHERE done = 1;
COMMIT;
PRAGMA user_version = 1;
