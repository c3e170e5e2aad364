//! SMTP.

use super::elements;

elements! { Group::Smtp;
    /// Envelope sender
    SMTP_MAIL_FROM: Text(64), Ntop(185);
    /// Envelope recipient
    SMTP_RCPT_TO: Text(64), Ntop(186);
}
