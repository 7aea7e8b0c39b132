//! Sessions: who is asking, by an opaque token.
