// The page without a bundle: its modules come from the public addresses of the page's import map.
import 'graphiql/setup-workers/esm.sh';
import './app.js';
