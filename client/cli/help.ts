/** What `--help` prints. */
export const helpText = `SMP client

Usage: smp COMMAND [arguments]

  ping ADDRESS [--count N]                  what a server can; time a connection and N answers
                                            (default 4)
  queue create ADDRESS --file FILE          make a queue; its credentials go into a new FILE
  queue key --file FILE                     make a sender's key, in a new FILE
  queue secure KEY --file FILE              let nobody but the owner of KEY send from now on
  queue send ADDRESS SENDER_ID [TEXT] [--key FILE]
                                            send TEXT, or the standard input; signed with --key
  queue receive --file FILE [--count N] [--timeout SECONDS]
                                            print messages as they come, and acknowledge them; ends
                                            after SECONDS, and fails if none has come
  queue suspend --file FILE                 take no more messages
  queue delete --file FILE                  delete the queue with its messages
  load ADDRESS [--pairs N] [--connections N] [--depth N] [--seconds N] [--rate N]
       [--open] [--window N] [--block-size N] [--rekey]
                                            put load on your own server, and measure; with what SMP
                                            0.3 has unless --open (no signatures on opened queues),
                                            --window N (that many messages unacknowledged),
                                            --block-size N (bytes, or "large") or --rekey (forward
                                            secrecy) asks for an extension

  --allow-unverified                        take an address without a key hash: anybody on the way
                                            there can pretend to be the server
  -h, --help, --version

ADDRESS is host[:port]#keyhash, as servers print it; password@host[:port]#keyhash where a server wants
a password from those who make queues (create, load); or @FILE, whose first line is it. Output is one
JSON object a line.
`;
