//! What a real apiserver makes of an object between receiving and storing it: one spelling for equal values, defaults,
//! what the server fills in itself, and the refusals. Pure; the store and other objects come in as arguments.

mod canonical;
mod defaults;
mod pods;
mod prepare;
mod quantity;
mod services;
mod validate;
mod zero;

pub(crate) use canonical::{Unknown, canonicalize};
pub(crate) use defaults::apply_defaults;
pub(crate) use prepare::{for_create, for_status_update, for_update};
pub(crate) use quantity::Quantity;
pub(crate) use validate::{on_create, on_update};
pub(crate) use zero::empty_object;
