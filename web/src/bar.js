// The bar above GraphiQL: who is signed in, or the form to sign in with.
import { createElement as h, useState } from 'react';

/** `demos` are the demo firm's sign-ins, `{email, password, name, role}`; a server outside development offers none. */
export function SignInBar({ session, state, demos }) {
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const signIn = async (email, password) => {
    setBusy(true);
    setProblem((await session.signIn(email, password).catch(({ message }) => message)) ?? '');
    setBusy(false);
  };
  return h(
    'header',
    { className: 'steward-bar' },
    h('span', { className: 'steward-name' }, 'Steward'),
    h('span', { className: 'steward-notice', role: 'status' }, problem || state.notice),
    demos.length > 0 && h(DemoSignIns, { demos, busy, signIn }),
    state.user ? h(SignedIn, { user: state.user, session }) : h(Form, { busy, signIn }),
  );
}

function DemoSignIns({ demos, busy, signIn }) {
  const onChange = ({ target }) => {
    const { email, password } = demos[target.value];
    signIn(email, password);
  };
  return h(
    'select',
    { 'aria-label': 'Demo sign-ins', value: '', disabled: busy, onChange },
    h('option', { value: '', disabled: true }, 'Sign in as…'),
    demos.map(({ email, name, role }, index) =>
      h('option', { key: email, value: index }, `${name} (${inWords(role)})`),
    ),
  );
}

function Form({ busy, signIn }) {
  const onSubmit = (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    signIn(fields.get('email'), fields.get('password'));
  };
  const field = (name, type, label, autoComplete) =>
    h('input', { name, type, placeholder: label, 'aria-label': label, autoComplete, required: true });
  return h(
    'form',
    { onSubmit },
    field('email', 'email', 'Email', 'username'),
    field('password', 'password', 'Password', 'current-password'),
    h('button', { type: 'submit', disabled: busy }, busy ? 'Signing in…' : 'Sign in'),
  );
}

function SignedIn({ user, session }) {
  return h(
    'div',
    { className: 'steward-user' },
    h('strong', null, user.name),
    h('span', { className: 'steward-role' }, inWords(user.role)),
    h('button', { type: 'button', onClick: () => session.signOut() }, 'Sign out'),
  );
}

const inWords = (role) => role.toLowerCase().replaceAll('_', ' ');
