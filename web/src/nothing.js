// Stands for an optional dependency that nothing here needs.
export default undefined;
