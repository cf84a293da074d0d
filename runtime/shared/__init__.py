"""One limit for all processes and machines of an account, on Redis or Valkey, or on this machine without a server.

Only in the installed runtime, and imported once `shared_queue` is set: nothing of it is in the file that is put beside
a user's own. What each rule of the protocol answers, and where its promise ends: docs/sharing.md.

    messages, members   what is said, and what is remembered
    script, account, line   the step on the server, in Lua and in Python
    holdings, alone     what this process holds, and may start
    redis_server, machine   where the account is
    client, source, gates   the two threads, what a gate asks, and all gates of this process
    accounts            whose limit it is
"""
