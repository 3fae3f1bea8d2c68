"""Encryption on the way: TLS 1.3 or newer, with a certificate that may be renewed while the server runs."""

import logging
import ssl
from pathlib import Path

from graph.settings import SettingsError

log = logging.getLogger(__name__)


class Certificate:
    """A certificate with its chain, and its key, both as PEM files. Raises SettingsError if they are no good."""

    def __init__(self, chain: Path, key: Path) -> None:
        self.chain = chain
        self.key = key
        self.stamp = self._stamp()
        self.current = self._loaded()

    def context(self) -> ssl.SSLContext:
        """What a server listens with: each handshake takes the files as they are by then."""
        context = self._loaded()
        context.sni_callback = self._pick
        return context

    def _pick(self, handshake: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        try:
            if (stamp := self._stamp()) != self.stamp:
                self.current, self.stamp = self._loaded(), stamp
        except SettingsError as error:
            # One of the two files may have been renewed and the other not yet: the next handshake tries again.
            log.warning("%s The certificate from before stays.", error)
        handshake.context = self.current

    def _stamp(self) -> tuple[int, ...]:
        try:
            return tuple(path.stat().st_mtime_ns for path in (self.chain, self.key))
        except OSError as error:
            raise SettingsError(f"TLS_CERTIFICATE, TLS_KEY: {error.filename}: {error.strerror}.") from None

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["http/1.1"])
        try:
            # An encrypted key would have OpenSSL ask for its password on the terminal.
            context.load_cert_chain(self.chain, self.key, password=lambda: b"")
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or "they are no certificate with its key"
            raise SettingsError(f"TLS_CERTIFICATE, TLS_KEY: {self.chain} and {self.key}: {reason}.") from None
        return context
