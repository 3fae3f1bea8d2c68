"""Mail that the firm sends: the gateway, by SMTP or into files."""

from domain.mail.files import FileMail
from domain.mail.letter import Letter, Mail, Sender, as_sender
from domain.mail.smtp import Security, SmtpMail, SmtpServer

__all__ = ["FileMail", "Letter", "Mail", "Security", "Sender", "SmtpMail", "SmtpServer", "as_sender"]
