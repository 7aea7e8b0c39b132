//! Carts: what a session wants to buy.
