//! Writers of replies, RESP2 and RESP3.
