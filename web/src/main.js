import 'graphiql/style.css';
import './style.css';
import './workers.js';
import './app.js';
