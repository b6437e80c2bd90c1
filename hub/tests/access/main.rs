//! Who may do what, against a hub in this process and over the wire.

mod bindings;
mod matrix;
mod support;
