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
INSERT INTO receiving_queues VALUES('friend','one.example',5223,'aGFzaA==','cmlk','c2lk',X'a11c2448f545d9e5a474ca10bf2261b43315d759628b7104145c62ffe281590811df30',X'ad5b89c450646b9b445b6ccdb9368b943555c45d82bfd8722342f644c376d8911455',X'06',X'07');
INSERT INTO receiving_queues VALUES('greeting','one.example',5223,'aGFzaA==','cmlk','c2lk',X'7eac8ba779d31554e246f4ac76681727796de830f87c880fce37f48dc35c3aab064827',X'1925cc1b1d4ef41d0b360579408f5d9d9dd4d6579979919ead08b010c09035597ee7',X'06',X'07');
INSERT INTO receiving_queues VALUES('answering','one.example',5223,'aGFzaA==','cmlk','c2lk',X'b594dd18e9105bb851660b281c21d1f930aa238bf4f7a7d08ac14a75d31042ce04ef11',X'5cb04b58109a21f3e0949e998a0ced794aad0a77aae192a3f09f68f64efd0a2a2570',X'06',X'07');
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
INSERT INTO sending_queues VALUES('friend','two.example',NULL,NULL,'c2lkMg==',X'66ed5d8c6a2066d77fc5180194f9d357f34914cce1116e087f911fbae94ad7c183',X'3ce0831b5dbf33807bb91c123415fff748f3fdd461ecdf6e65a4ba3a73b07411e2ee',X'0b');
INSERT INTO sending_queues VALUES('joining','two.example',NULL,NULL,'c2lkMg==',X'2216705ecc6847b6aacddcd8f05cf64a64a89ccb7bf2ad3be0f2e9120ba40a9693',X'e032adfc60922828aa3c2967fc31b83a727b71382593c5fff17e22a4dd597a1b1b2b',X'0b');
INSERT INTO sending_queues VALUES('greeting','two.example',NULL,NULL,'c2lkMg==',X'76d59df7d8a339e585137681a856f96556fc55a4c3b42faeb8d91c282f59ea3870',X'cb6393f5e8bc669128bf9ce84a67815826efe381188ef84e71283e16df5733057d81',X'0b');
INSERT INTO sending_queues VALUES('failed','two.example',NULL,NULL,'c2lkMg==',X'a8b57815cc11bd0b33dcf678c8cd4fc6fb5e2624f111d7d2a19901681dd5b3eda0',X'1dea2717958b1215fbd5b6c5153c67652bc74002ca6610ce6d304d1a48b6051aa208',X'0b');
INSERT INTO sending_queues VALUES('answering','two.example',NULL,NULL,'c2lkMg==',X'73d3dfd9cd0dd9b7bc803fcc98f538aacf06aaf054a6ba8db81bcde4a0cf502550',X'd67a22d14819ece3874c427bfed3d14cdf493e3013d9dbdf72c5e8c0b154041643c4',X'0b');
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
INSERT INTO outbox VALUES('friend',23,'MSG',23,X'ec7e485e489151f3bd639a50a6cee32b4f279eec94f643d0d432e65b08ae1c07e396',5,0);
INSERT INTO outbox VALUES('friend',24,'MSG',24,X'797db63b795deca72150d36a931f46affd79b9a1151772cac94f3f7300d08306cf36',5,0);
INSERT INTO outbox VALUES('joining',1,'KEY',0,X'2b1d969d92127e569837fc4000fb18e914818cd59e7b0873ea94a5b5a0533fb3c821',5,1);
INSERT INTO outbox VALUES('joining',2,'HELLO',0,X'40aca13818b15c3482e4f0824c42c224d9d4cbbb9ada9991473270e8d7a8a4df67f3',5,0);
INSERT INTO outbox VALUES('joining',3,'REPLY',0,X'5ef82637f4574bd01dff433a17430c459b1bc890cd14f69fcb1fe9def161a68ab4d2',5,0);
INSERT INTO outbox VALUES('greeting',2,'HELLO',0,X'384ecc28bc095fe8e160544fbe22b1dc5e6a7d67bdb33ef0eb3ceb0d9654400884fb',5,0);
INSERT INTO outbox VALUES('greeting',24,'MSG',24,X'a04f6f9df7a9f76080cd8206f5cf9c6b686748c1b02a591be6c4eb2638b8a0645daa',5,0);
INSERT INTO outbox VALUES('answering',2,'HELLO',0,X'6a88c0009d404c667128c6e4b3bbae41a08cadf7fe7fd6911088c70ce2d38f6cc77e',5,0);
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
INSERT INTO messages VALUES('friend',1,X'065767115c35e0d05aa96b96a593fe66ead31543fa10875fc0a40601dcc5e274ac2c',10,1,'{"type":"NO_ID","from":1,"to":2}','b25l',6,7,8);
INSERT INTO messages VALUES('friend',2,X'01e544517d175f325bf0d204cdaf7336ceb4295b177448dc47ade99174fa766d462f',20,0,'{"type":"NO_ID","from":1,"to":2}','dHdv',6,7,8);
INSERT INTO messages VALUES('greeting',1,X'25bc1c24f42beb63ceb071f76481c8907cc0cde480005cd1f718b46529c1cc4e452b',25,0,'{"type":"NO_ID","from":1,"to":2}','Z3JlZXRpbmc=',6,7,8);
INSERT INTO messages VALUES('friend',3,X'eff56d03e285135f5da44b85ec102801ae5389c2341da0c615c77cfc44ee057924cc',30,0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO messages VALUES('friend',4,X'11a2ab94b2477fdb4988ebe33b3a5a71df7f0b871a854df86accd4f3237f978b801d',40,1,NULL,NULL,NULL,NULL,NULL);
INSERT INTO messages VALUES('friend',5,X'347be41ce9896a0f39c0f9425a64f0126af8ab6c75907bd6a19361aed52d203a039a',50,0,'{"type":"NO_ID","from":1,"to":2}','bGFzdA==',6,7,8);
CREATE TABLE passphrase (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    salt BLOB NOT NULL,
    iterations INTEGER NOT NULL,
    proof BLOB NOT NULL
  ) STRICT;
INSERT INTO passphrase VALUES(1,X'1edc4de2db891fe9145def30f570214c',1000,X'880dad0eb948b387c8fa84e0814d48f22aedc8355d5ed14974c4efa45d4661bd63519fb0ca4242b96fd537cc30f8ab');
CREATE INDEX messages_at ON messages (at) WHERE done = 1;
COMMIT;
PRAGMA user_version = 1;
