"""The settings of mail, and of how people become users."""

import re
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from domain.mail import FileMail, Mail, Security, Sender, SmtpMail, SmtpServer, as_sender

BASE: Final = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


def _sender(text: str) -> str:
    as_sender(text)
    return text


def _base(url: str) -> str:
    if not BASE.fullmatch(url):
        raise ValueError("must be an address such as https://app.example, which the paths of links are added to")
    return url.rstrip("/")


class MailSettings(BaseSettings):
    """How letters leave the firm: by a mail server if there is one, else into files beside the database."""

    registration: bool = False
    public_url: Annotated[str, AfterValidator(_base)] | None = None
    mail_from: Annotated[str, AfterValidator(_sender)] = "Steward <steward@localhost>"
    smtp_host: str | None = None
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    smtp_security: Security = Security.STARTTLS
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None

    @model_validator(mode="after")
    def _check_mail(self) -> Self:
        if (self.smtp_user is None) is not (self.smtp_password is None):
            raise ValueError("SMTP_USER: goes with SMTP_PASSWORD; set both or neither.")
        if self.smtp_user is not None and self.smtp_security is Security.NONE:
            raise ValueError("SMTP_SECURITY: none would send the password in clear; use starttls or tls.")
        return self

    @property
    def sender(self) -> Sender:
        """Whom letters are from."""
        return as_sender(self.mail_from)

    def mail(self, directory: Path) -> Mail:
        """How letters leave the firm: into files of the directory, unless there is a mail server."""
        if self.smtp_host is None:
            return FileMail(directory, self.sender)
        server = SmtpServer(
            self.smtp_host,
            self.smtp_port,
            user=self.smtp_user,
            password=self.smtp_password.get_secret_value() if self.smtp_password else None,
            security=self.smtp_security,
        )
        return SmtpMail(server, self.sender)
