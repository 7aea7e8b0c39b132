//! What customers are written.

use crate::mail::{Link, Template};

/// All that customers may be written.
pub const MAILS: &[Template] = &[VERIFY_EMAIL, RESET_PASSWORD, EMAIL_CHANGES, PASSWORD_CHANGED];

/// Is this your address? Nothing in it was typed by whoever registers: it could be for a stranger.
pub const VERIFY_EMAIL: Template = Template {
    kind: "verify_email",
    subject: "Confirm your e-mail address",
    opening: &[
        "Hello,",
        "this address was given for an account at {shop}. Please confirm that it is yours.",
    ],
    link: Some(Link { label: "Confirm the address", path: "/verify-email" }),
    closing: &["The link works once, for three days. If it was not you, do nothing."],
};

/// Choose another password.
pub const RESET_PASSWORD: Template = Template {
    kind: "reset_password",
    subject: "Choose a new password",
    opening: &[
        "Hello,",
        "somebody asked for a new password for your account at {shop}. If it was you, choose one \
         here.",
    ],
    link: Some(Link { label: "Choose a password", path: "/reset-password" }),
    closing: &[
        "The link works once, for an hour. If it was not you, do nothing: your password stays as \
         it is.",
    ],
};

/// To the address that the account has so far.
pub const EMAIL_CHANGES: Template = Template {
    kind: "email_changes",
    subject: "Your e-mail address is about to change",
    opening: &[
        "Hello,",
        "the address of your account at {shop} becomes {email} as soon as it is confirmed there.",
        "If it was not you who asked for this, choose a new password now: that stops it.",
    ],
    link: None,
    closing: &[],
};

/// A notice that there is another password.
pub const PASSWORD_CHANGED: Template = Template {
    kind: "password_changed",
    subject: "Your password was changed",
    opening: &[
        "Hello,",
        "your account at {shop} has a new password.",
        "If it was not you, ask for another one at once: the shop sends it to this address only.",
    ],
    link: None,
    closing: &[],
};
