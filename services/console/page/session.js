// Who uses the page, and what they may do.
import { call } from './api.js';

export const session = { name: '', role: 'operator', by: 'open' };

export const mayAct = () => session.role === 'operator';

// Returns true if there is a caller, false if the page needs a login.
export async function readSession() {
  try {
    Object.assign(session, await call('GET', '/session'));
    return true;
  } catch (problem) {
    if (problem.status === 401) return false;
    throw problem;
  }
}

export async function signIn(token) {
  Object.assign(session, await call('POST', '/session', { token }));
}

export const signOut = () => call('DELETE', '/session');
